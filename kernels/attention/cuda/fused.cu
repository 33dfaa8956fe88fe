// Which kernels a call of fused attention runs, and what the backward pass knows of each query:
// delta = rowsum(dO O) - dlse, a warp a row. Parts of the keys are merged by a warp a row too.
#include "kernels/attention/cuda/fused_call.h"
#include "kernels/attention/cuda/hopper/launches.h"
#include "kernels/attention/cuda/launches.h"
#include "kernels/attention/cuda/pair_score.h"
#include "kernels/cuda/provide.h"
#include "kernels/cuda/reduce.h"

namespace heed::kernels::cuda {

using attn::FusedCall;

namespace {

constexpr int kWarps = 4;

template <class T>
__global__ void delta(const __grid_constant__ FusedCall c, int64_t rows) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t row = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; row < rows;
       row += int64_t{gridDim.x} * kWarps) {
    const int64_t bh = row / c.queries, i = row % c.queries;
    const int b = static_cast<int>(bh / c.heads), h = static_cast<int>(bh % c.heads);
    float sum = 0;
    if (c.out.data != nullptr) {
      const HeadRows<const T> out(c.out, b, h), dout(c.dout, b, h);
      for (int d = lane; d < c.value_dim; d += kWarp) {
        sum += static_cast<float>(out.data[i * out.stride + d]) *
               static_cast<float>(dout.data[i * dout.stride + d]);
      }
    }
    sum = warp_all(sum, Plus());
    if (lane == 0) c.delta[row] = c.dlse != nullptr ? sum - c.dlse[row] : sum;
  }
}

template <class T>
__global__ void merge_parts(const __grid_constant__ FusedCall c, int64_t rows) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t step = c.value_dim + 2;
  for (int64_t row = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; row < rows;
       row += int64_t{gridDim.x} * kWarps) {
    const float* parts = c.partial + row * c.splits * step;
    float max = -infinity(), sum = 0;
    for (int s = 0; s < c.splits; ++s) max = fmaxf(max, parts[s * step + c.value_dim]);
    const float shift = max == -infinity() ? 0.0f : max;
    for (int s = 0; s < c.splits; ++s)
      sum += parts[s * step + c.value_dim + 1] * exp2_fast(parts[s * step + c.value_dim] - shift);
    const int64_t bh = row / c.queries, i = row % c.queries;
    const HeadRows<T> out(c.out, static_cast<int>(bh / c.heads), static_cast<int>(bh % c.heads));
    const float inverse = sum == 0.0f ? 0.0f : c.dropout.keep_scale / sum;
    for (int d = lane; d < c.value_dim; d += kWarp) {
      float total = 0;
      for (int s = 0; s < c.splits; ++s)
        total += parts[s * step + d] * exp2_fast(parts[s * step + c.value_dim] - shift);
      out.data[i * out.stride + d] = static_cast<T>(total * inverse);
    }
    if (lane == 0) c.lse[row] = sum == 0.0f ? -infinity() : max * kLn2 + on_device::log(sum);
  }
}

void run_forward(const FusedCall& c) {
  if (c.counters != nullptr) return forward_hopper(c);
  const bool single = c.dtype == DType::f32;
  (single ? forward_f32 : forward_bf16)(c);
  if (c.splits == 1) return;
  const int64_t rows = int64_t{c.batch} * c.heads * c.queries;
  launch(single ? merge_parts<float> : merge_parts<bfloat16>, grid_for(ceil_div(rows, kWarps)),
         kWarps * kWarp, 0, current_stream(), c, rows);
}

void run_backward(const FusedCall& c) {
  const bool single = c.dtype == DType::f32;
  const int64_t rows = int64_t{c.batch} * c.heads * c.queries;
  launch(single ? delta<float> : delta<bfloat16>, grid_for(ceil_div(rows, kWarps)), kWarps * kWarp,
         0, current_stream(), c, rows);
  if (c.counters != nullptr) return backward_hopper(c);
  if (c.dq.data != nullptr) (single ? backward_queries_f32 : backward_queries_bf16)(c);
  if (c.dk.data != nullptr) (single ? backward_keys_f32 : backward_keys_bf16)(c);
}

}  // namespace

void provide_attention() {
  attn::fused_forward_cuda.provide(run_forward);
  attn::fused_backward_cuda.provide(run_backward);
  attn::fused_fits_hopper_cuda.provide(fits_hopper);
}

}  // namespace heed::kernels::cuda
