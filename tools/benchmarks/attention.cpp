// Fused attention: forward and backward against the multiply-adds that they need. See
// tests/interop/attention_bench.py for the same shapes in PyTorch.
#include "kernels/attention/attention.h"

#include <benchmark/benchmark.h>

#include "core/views.h"
#include "kernels/matmul/matmul.h"
#include "kernels/random/fill.h"

namespace heed {
namespace {

Tensor normal(const Shape& shape, DType dtype, uint64_t purpose) {
  const Tensor t = Tensor::empty(shape, dtype);
  kernels::fill_normal(t, 0.0, 1.0, {1, purpose, 0});
  return t;
}

/// [B, H, N, D] that lies in memory as [B, N, H, D].
Tensor random(const Shape& shape, DType dtype, uint64_t purpose) {
  return views::transpose(normal(shape, dtype, purpose), 1, 2);
}

/// Arguments: batch, heads, tokens, head_dim, causal, bf16, percent of dropout.
void attention(benchmark::State& state, bool with_backward) {
  const int64_t B = state.range(0), H = state.range(1), N = state.range(2), D = state.range(3);
  const bool causal = state.range(4) != 0;
  const DType dtype = state.range(5) != 0 ? DType::bf16 : DType::f32;
  const Tensor q = random({B, N, H, D}, dtype, 1), k = random({B, N, H, D}, dtype, 2),
               v = random({B, N, H, D}, dtype, 3), dout = random({B, N, H, D}, dtype, 4);
  const AttentionSpec spec{
      .pattern = causal ? AttentionPattern::causal() : AttentionPattern::dense(),
      .dropout = static_cast<double>(state.range(6)) / 100.0};
  for (auto _ : state) {
    const auto y = kernels::attention(q, k, v, spec);
    if (with_backward)
      benchmark::DoNotOptimize(kernels::attention_backward(dout, {}, q, k, v, y, spec, true, true));
    benchmark::DoNotOptimize(y.out.raw());
  }
  const double pairs = static_cast<double>(B * H) * (causal ? 0.5 * static_cast<double>(N * (N + 1))
                                                            : static_cast<double>(N * N));
  const double flops = pairs * static_cast<double>(D) * (with_backward ? 14.0 : 4.0);
  state.counters["flop/s"] = benchmark::Counter(flops * static_cast<double>(state.iterations()),
                                                benchmark::Counter::kIsRate);
}

void shapes(benchmark::internal::Benchmark* b) {
  for (const int64_t bf16 : {0, 1}) {
    for (const int64_t causal : {1, 0}) {
      b->Args({12, 4, 64, 32, causal, bf16, 0});
      b->Args({16, 6, 256, 64, causal, bf16, 0});
      // Of the grid B 1..8, H 4..12, N 256..4096, D 32..128.
      b->Args({8, 4, 256, 32, causal, bf16, 0});
      b->Args({8, 12, 256, 64, causal, bf16, 0});
      b->Args({4, 4, 256, 128, causal, bf16, 0});
      b->Args({4, 8, 512, 64, causal, bf16, 0});
      b->Args({1, 4, 1024, 32, causal, bf16, 0});
      b->Args({2, 12, 1024, 64, causal, bf16, 0});
      b->Args({1, 8, 1024, 128, causal, bf16, 0});
      b->Args({1, 4, 2048, 64, causal, bf16, 0});
      b->Args({1, 4, 4096, 32, causal, bf16, 0});
      b->Args({1, 4, 4096, 128, causal, bf16, 0});
    }
  }
  b->Args({16, 6, 256, 64, 1, 0, 10});
  b->ArgNames({"B", "H", "N", "D", "causal", "bf16", "dropout"});
  b->UseRealTime()->Unit(benchmark::kMillisecond);
}

BENCHMARK_CAPTURE(attention, forward, false)->Apply(shapes);
BENCHMARK_CAPTURE(attention, forward_backward, true)->Apply(shapes);

/// One query against a long cache. Arguments: batch, heads, kv_heads, keys, head_dim, bf16.
void decode(benchmark::State& state) {
  const int64_t B = state.range(0), H = state.range(1), Hkv = state.range(2), M = state.range(3),
                D = state.range(4);
  const DType dtype = state.range(5) != 0 ? DType::bf16 : DType::f32;
  const Tensor q = random({B, 1, H, D}, dtype, 1), k = random({B, M, Hkv, D}, dtype, 2),
               v = random({B, M, Hkv, D}, dtype, 3);
  const AttentionSpec spec{.pattern = AttentionPattern::causal(M - 1)};
  for (auto _ : state) benchmark::DoNotOptimize(kernels::attention(q, k, v, spec).out.raw());
  state.SetBytesProcessed(state.iterations() * (k.bytes() + v.bytes()));
}
BENCHMARK(decode)
    ->Args({1, 12, 12, 1024, 64, 0})
    ->Args({1, 12, 12, 16384, 64, 0})
    ->Args({1, 12, 12, 16384, 64, 1})
    ->Args({1, 32, 8, 16384, 128, 0})
    ->ArgNames({"B", "H", "Hkv", "M", "D", "bf16"})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// What the machine's products reach: a square matrix product. Argument: bf16.
void product(benchmark::State& state) {
  constexpr int64_t kSize = 1024;
  const DType dtype = state.range(0) != 0 ? DType::bf16 : DType::f32;
  const Tensor x = normal({kSize, kSize}, dtype, 1), y = normal({kSize, kSize}, dtype, 2);
  for (auto _ : state) benchmark::DoNotOptimize(kernels::matmul(x, y).raw());
  state.counters["flop/s"] =
      benchmark::Counter(2.0 * kSize * kSize * kSize * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate);
}
BENCHMARK(product)->Arg(0)->Arg(1)->ArgName("bf16")->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace heed

BENCHMARK_MAIN();
