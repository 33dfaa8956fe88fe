// Which calls the kernels for sm_90a take.
#include "kernels/attention/cuda/hopper/call.h"
#include "kernels/attention/cuda/hopper/launches.h"

namespace heed::kernels::cuda {
namespace {

int attribute(cudaDeviceAttr which) {
  int device = 0, value = 0;
  heed::cuda::check(cudaGetDevice(&device), "current device");
  heed::cuda::check(cudaDeviceGetAttribute(&value, which, device), "ask the device");
  return value;
}

/// Whether this build has kernels for the current device's multiprocessors.
bool has_kernels() {
#if defined(HEED_HOPPER_KERNELS)
  return attribute(cudaDevAttrComputeCapabilityMajor) == 9 &&
         attribute(cudaDevAttrComputeCapabilityMinor) == 0;
#else
  return false;
#endif
}

}  // namespace

int multiprocessors() { return attribute(cudaDevAttrMultiProcessorCount); }

bool fits_hopper(const FusedCall& c) {
  const bool backward = c.dout.data != nullptr;
  const int most = backward || c.score.any ? 128 : 256;
  if (c.dtype != DType::bf16 || widest(c) > most || c.splits != 1 || !has_kernels()) return false;
  // by the copy engine where tokens are in order, 16 bytes at a time where they are gathered
  const auto comes = [&](const attn::FusedRows& rows, int32_t heads, int32_t tokens) {
    return rows.wide && (gathers(c) || can_map(mapped(c, rows, heads, tokens)));
  };
  const auto goes = [](const attn::FusedRows& rows) { return rows.data == nullptr || rows.wide; };
  return comes(c.q, c.heads, c.queries) && comes(c.k, c.kv_heads, c.keys) &&
         comes(c.v, c.kv_heads, c.keys) &&
         (backward ? comes(c.dout, c.heads, c.queries) && goes(c.dq) && goes(c.dk) && goes(c.dv)
                   : goes(c.out));
}

}  // namespace heed::kernels::cuda
