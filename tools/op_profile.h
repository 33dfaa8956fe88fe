// Time, memory traffic and arithmetic per op of a training step, from what the tape reports.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/device.h"

namespace heed::tools {

/// While it lives, the tape reports here. The time between two reports goes to the op of the later
/// one, so what runs outside ops is counted with the op that follows it; steps end with mark().
class OpProfile {
 public:
  /// Each report waits for what the device has to do.
  explicit OpProfile(Device device = kCpu);
  ~OpProfile();
  OpProfile(const OpProfile&) = delete;
  OpProfile& operator=(const OpProfile&) = delete;

  /// The time and the arithmetic since the last report go to `what`, and so do `bytes`.
  void mark(const std::string& what, int64_t bytes = 0);
  /// Forgets what was measured so far.
  void reset();

  struct Line {
    std::string op;
    int64_t calls = 0;
    double seconds = 0.0;
    /// Operands and results, each once: forward inputs and outputs; backward the outputs'
    /// gradients, and the inputs' twice (a gradient and what was saved of the input).
    int64_t bytes = 0;
    double flops = 0.0;  ///< of products, convolutions and attention (core/work.h)
  };
  /// By descending time.
  std::vector<Line> lines() const;

 private:
  using Clock = std::chrono::steady_clock;
  Device device_;
  std::vector<Line> lines_;
  Clock::time_point last_ = Clock::now();
  double last_flops_ = 0.0;
};

}  // namespace heed::tools
