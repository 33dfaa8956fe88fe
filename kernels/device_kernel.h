// How a family's x.cpp hands a device tensor to its x.cu.
//
//   // kernels/softmax/slices.h, what both sides see: plain data, no tensors
//   struct SoftmaxSlices { ... };
//   extern DeviceKernel<void(const SoftmaxSlices&)> softmax_cuda;
//
//   // kernels/softmax/softmax.cpp: checks and plans once for every device
//   DeviceKernel<void(const SoftmaxSlices&)> softmax_cuda;
//   ...
//   if (out.device().is_cuda()) { softmax_cuda({op, in, out}, slices); return out; }
//
//   // kernels/softmax/softmax.cu: launches on cuda::current_stream()
//   void run(const SoftmaxSlices& s) { ... }
//   void provide_softmax() { softmax_cuda.provide(run); }      called by kernels/cuda/start.cpp
//
// So nothing outside the .cu files knows CUDA, and a build without it is the same sources less
// those.
#pragma once

namespace heed {
class OpCall;  // core/op_call.h, for those who call
}

namespace heed::kernels {

namespace detail {
/// Throws the Error of an op that no device kernel was provided for.
[[noreturn]] void fail_not_provided(const OpCall& call);
}  // namespace detail

template <class Signature>
class DeviceKernel;

/// A function that a build with CUDA provides; a call of one that was not is an Error of the op.
template <class R, class... P>
class DeviceKernel<R(P...)> {
 public:
  using Function = R (*)(P...);

  void provide(Function function) { function_ = function; }

  /// `call` names the op and checks that its tensors lie on one device (core/op_call.h).
  R operator()(const OpCall& call, P... arguments) const {
    if (function_ == nullptr) detail::fail_not_provided(call);
    return function_(arguments...);
  }

 private:
  Function function_ = nullptr;
};

}  // namespace heed::kernels
