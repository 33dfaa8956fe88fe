#include "core/cuda/check.h"

#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "core/op_call.h"

namespace heed::cuda {
namespace {

bool waits_for_kernels() {
  static const bool waits = [] {
    const char* value = std::getenv("HEED_SYNC");
    return value != nullptr && std::string_view(value) == "1";
  }();
  return waits;
}

std::string running_op() {
  const OpCall* call = OpCall::current();
  return call == nullptr ? "cuda" : call->to_string();
}

}  // namespace

void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) [[likely]]
    return;
  cudaGetLastError();  // a failed call must not be reported a second time
  fail("{}: {}: {}", running_op(), what, cudaGetErrorString(code));
}

void check_launch(cudaError_t code, cudaStream_t stream) {
  check(code, "launch");
  if (waits_for_kernels()) check(cudaStreamSynchronize(stream), "kernel");
}

void fail_op(const char* message) { fail("{}: {}", running_op(), message); }

}  // namespace heed::cuda
