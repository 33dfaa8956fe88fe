// Checks of CUDA calls and launches: an Error names the op and its tensors.
#pragma once

#include <cuda_runtime.h>

namespace heed::cuda {

/// Throws unless the call succeeded; `what` says what was tried ("allocate").
void check(cudaError_t code, const char* what);

/// The same for the launch of a kernel of the op that runs now (core/op_call.h). With HEED_SYNC=1
/// in the environment it waits for the kernel, so that a kernel's failure is told at its own launch
/// and not at some later call.
void check_launch(cudaError_t code, cudaStream_t stream);

/// Throws an Error of the op that runs now.
[[noreturn]] void fail_op(const char* message);

}  // namespace heed::cuda
