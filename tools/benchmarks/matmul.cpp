// Matrix products of a training step (forward, input gradient, weight gradient) as a share of the
// multiply-add rate that this machine's vector units reach, measured in the same run.
#include "kernels/matmul/matmul.h"

#include <benchmark/benchmark.h>

#include "core/parallel.h"
#include "core/views.h"

namespace heed {
namespace {

// FLOP/s of independent multiply-adds in registers, on all threads.
__attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4"))) float multiply_adds(
    int64_t rounds) {
  constexpr int kChains = 12, kLanes = 16;
  float x[kChains][kLanes];
  for (auto& chain : x) {
    for (float& lane : chain) lane = 1.0f;
  }
  for (int64_t r = 0; r < rounds; ++r) {
    for (auto& chain : x) {
      for (float& lane : chain) lane = __builtin_fmaf(lane, 0.999f, 0.001f);
    }
  }
  float sum = 0;
  for (auto& chain : x) {
    for (float lane : chain) sum += lane;
  }
  return sum;
}

void vector_peak(benchmark::State& state) {
  constexpr int64_t kRounds = 1 << 20;
  for (auto _ : state) {
    parallel_for(thread_count(), 1,
                 [](int64_t, int64_t) { benchmark::DoNotOptimize(multiply_adds(kRounds)); });
  }
  state.counters["FLOP/s"] = benchmark::Counter(2.0 * 12 * 16 * kRounds * thread_count(),
                                                benchmark::Counter::kIsIterationInvariantRate);
}

enum Kind { kForward, kInputGradient, kWeightGradient };

void product(benchmark::State& state, DType dtype, Kind kind) {
  const int64_t tokens = state.range(0), in = state.range(1), out = state.range(2);
  const Tensor x = Tensor::full({tokens, in}, 0.5, dtype), w = Tensor::full({out, in}, 0.5, dtype);
  const Tensor y = Tensor::full({tokens, out}, 0.5, dtype), dw = Tensor::zeros({out, in});
  for (auto _ : state) {
    if (kind == kForward) kernels::gemm(x, views::transpose(w, 0, 1), y);
    if (kind == kInputGradient) kernels::gemm(y, w, x);
    if (kind == kWeightGradient) kernels::gemm(views::transpose(y, 0, 1), x, dw);
  }
  state.counters["FLOP/s"] = benchmark::Counter(2.0 * static_cast<double>(tokens * in * out),
                                                benchmark::Counter::kIsIterationInvariantRate);
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tokens", "in", "out"})->UseRealTime();
  for (const auto& [tokens, dim] : {std::pair{768, 128}, {4096, 384}, {4096, 768}}) {
    b->Args({tokens, dim, 3 * dim})->Args({tokens, dim, dim})->Args({tokens, dim, 4 * dim});
    b->Args({tokens, 4 * dim, dim});
  }
}

BENCHMARK(vector_peak)->UseRealTime();
BENCHMARK_CAPTURE(product, forward_f32, DType::f32, kForward)->Apply(sizes);
BENCHMARK_CAPTURE(product, input_gradient_f32, DType::f32, kInputGradient)->Apply(sizes);
BENCHMARK_CAPTURE(product, weight_gradient_f32, DType::f32, kWeightGradient)->Apply(sizes);
BENCHMARK_CAPTURE(product, forward_bf16, DType::bf16, kForward)->Apply(sizes);
BENCHMARK_CAPTURE(product, input_gradient_bf16, DType::bf16, kInputGradient)->Apply(sizes);
BENCHMARK_CAPTURE(product, weight_gradient_bf16, DType::bf16, kWeightGradient)->Apply(sizes);

}  // namespace
}  // namespace heed

BENCHMARK_MAIN();
