// The op whose kernels run on a device now: what errors name, and what a profiler shows.
#pragma once

#include <array>
#include <string>

#include "core/tensor.h"

namespace heed {

/// While it lives, launches belong to `op` on these tensors, whose common device is current. An
/// Error unless all that are defined lie on one device. Calls nest.
class OpCall {
 public:
  template <class... Tensors>
  OpCall(const char* op, const Tensors&... tensors) : op_(op), tensors_{&tensors...} {
    static_assert(sizeof...(Tensors) <= kMaxTensors);
    enter();
  }
  ~OpCall();
  OpCall(const OpCall&) = delete;
  OpCall& operator=(const OpCall&) = delete;

  const char* op() const { return op_; }
  Device device() const { return device_; }
  /// "softmax of f32[2, 3], f32[3]".
  std::string to_string() const;

  /// The innermost one of this thread, or nullptr.
  static const OpCall* current();

 private:
  static constexpr size_t kMaxTensors = 8;
  void enter();

  const char* op_;
  std::array<const Tensor*, kMaxTensors> tensors_;
  Device device_;
  const OpCall* outer_ = nullptr;
};

}  // namespace heed
