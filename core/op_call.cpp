#include "core/op_call.h"

#include "core/device_runtime.h"

namespace heed {
namespace {
thread_local const OpCall* innermost = nullptr;
}

void OpCall::enter() {
  const Tensor* first = nullptr;
  for (const Tensor* t : tensors_) {
    if (t == nullptr || !t->defined()) continue;
    if (first == nullptr) first = t;
    HEED_CHECK(t->device() == first->device(), "{}: {} on {} beside {} on {}", op_, *first,
               first->device().to_string(), *t, t->device().to_string());
  }
  HEED_CHECK(first != nullptr, "{}: a call on no tensor", op_);
  device_ = first->device();
  if (device_.is_cuda()) device_runtime(device_, op_).enter(device_.index, op_);
  outer_ = innermost;
  innermost = this;
}

OpCall::~OpCall() {
  innermost = outer_;
  if (device_.is_cuda()) device_runtime(device_, op_).leave();
}

std::string OpCall::to_string() const {
  std::string text = op_;
  const char* separator = " of ";
  for (const Tensor* t : tensors_) {
    if (t == nullptr || !t->defined()) continue;
    text += separator + t->to_string();
    separator = ", ";
  }
  return text;
}

const OpCall* OpCall::current() { return innermost; }

}  // namespace heed
