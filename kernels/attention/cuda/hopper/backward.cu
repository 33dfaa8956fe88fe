// What the backward pass on sm_90a knows of each slot of queries, for both kernels, in the order in
// which the copy engine can bring it.
#include "kernels/attention/cuda/hopper/backward.h"
#include "kernels/attention/cuda/hopper/launches.h"

namespace heed::kernels::cuda {
namespace {

__global__ void slot_statistics(const __grid_constant__ FusedCall c, QueryStatistics* to,
                                int64_t slots) {
  const int line_slots = c.plan.queries.lines * kDeviceTile;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < slots;
       i += int64_t{gridDim.x} * blockDim.x) {
    const auto head = static_cast<int>(i / line_slots);
    to[i] = query_statistics(c, head / c.heads, head % c.heads, static_cast<int>(i % line_slots));
  }
}

}  // namespace

void backward_hopper(const FusedCall& c) {
  constexpr int kThreads = 256;
  const int64_t slots = int64_t{c.batch} * c.heads * c.plan.queries.lines * kDeviceTile;
  launch(slot_statistics, grid_for(ceil_div(slots, kThreads)), kThreads, 0, current_stream(), c,
         reinterpret_cast<QueryStatistics*>(c.statistics), slots);
  if (c.dq.data != nullptr)
    backward_queries_hopper(hopper_call<false>(c, c.q, c.dout, c.k, c.v, c.counters));
  if (c.dk.data == nullptr) return;
  // two sums of more than 64 columns leave no registers for the score's terms
  if (widest(c) > 64 && c.score.any) return backward_keys_bf16(c);
  backward_keys_hopper(hopper_call<true>(c, c.k, c.v, c.q, c.dout, c.counters + 1));
}

}  // namespace heed::kernels::cuda
