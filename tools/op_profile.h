// Time per op of a training step, from what the tape reports.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/config.h"

namespace heed::tools {

/// While it lives, the tape reports here. The time between two reports goes to the op of the later
/// one, so what runs outside ops is counted with the op that follows it; steps end with mark().
class OpProfile {
 public:
  OpProfile();
  ~OpProfile();
  OpProfile(const OpProfile&) = delete;
  OpProfile& operator=(const OpProfile&) = delete;

  /// The time since the last report goes to `what`.
  void mark(const std::string& what);
  /// Forgets what was measured so far.
  void reset();

  struct Line {
    std::string op;
    int64_t calls = 0;
    double seconds = 0.0;
  };
  /// By descending time.
  std::vector<Line> lines() const;

 private:
  using Clock = std::chrono::steady_clock;
  std::vector<Line> lines_;
  Clock::time_point last_ = Clock::now();
};

}  // namespace heed::tools
