// Attention in linear time beside fused softmax attention, causal, by length: tokens and flops a
// second of CPU time. tests/interop/linear_attention_bench.py is a chunked form in PyTorch.
#include "kernels/linear_attention/linear_attention.h"

#include <benchmark/benchmark.h>

#include "core/random.h"
#include "core/work.h"
#include "kernels/attention/attention.h"
#include "kernels/elementwise/map.h"
#include "kernels/random/fill.h"

namespace heed {
namespace {

constexpr int64_t kHeads = 4, kDim = 64;

enum class Kind { softmax, plain, token, channel };

Tensor random(const Shape& shape, DType dtype, uint64_t purpose) {
  const Tensor x = Tensor::empty(shape, dtype);
  kernels::fill_normal(x, 0, 0.3, RandomKey{purpose, 0, 0});
  return x;
}

/// Logarithms of decays in (-0.1, 0).
Tensor decays(const Shape& shape) {
  const Tensor x = Tensor::empty(shape, DType::f32);
  kernels::fill_uniform(x, -0.1, 0, RandomKey{9, 0, 0});
  return x;
}

void causal(benchmark::State& state, Kind kind, DType dtype, bool backward) {
  const int64_t n = state.range(0);
  const Shape shape{1, kHeads, n, kDim};
  const Tensor q = random(shape, dtype, 1), k = random(shape, dtype, 2),
               v = random(shape, dtype, 3), dout = random(shape, dtype, 4);
  kernels::LinearAttentionInputs in{q, k, v};
  if (kind == Kind::token) in.log_decay = decays({1, kHeads, n});
  if (kind == Kind::channel) in.log_decay = decays(shape);
  AttentionSpec spec;
  spec.pattern = AttentionPattern::causal();
  const double before = counted_flops();
  for (auto _ : state) {
    if (kind == Kind::softmax) {
      const auto y = kernels::attention(q, k, v, spec);
      if (backward)
        benchmark::DoNotOptimize(
            kernels::attention_backward(dout, {}, q, k, v, y, spec, true, true));
    } else {
      const auto y = kernels::linear_attention(in);
      if (backward)
        benchmark::DoNotOptimize(kernels::linear_attention_backward(dout, {}, in, y.states));
    }
  }
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(n * state.iterations()), benchmark::Counter::kIsRate);
  state.counters["flops/s"] =
      benchmark::Counter(counted_flops() - before, benchmark::Counter::kIsRate);
}

void lengths(benchmark::internal::Benchmark* b) {
  b->ArgName("N")->RangeMultiplier(4)->Range(1024, 16384)->Unit(benchmark::kMillisecond);
}

void forward_only(benchmark::State& state, Kind kind, DType dtype) {
  causal(state, kind, dtype, false);
}
void both_ways(benchmark::State& state, Kind kind, DType dtype) {
  causal(state, kind, dtype, true);
}

BENCHMARK_CAPTURE(forward_only, softmax_f32, Kind::softmax, DType::f32)->Apply(lengths);
BENCHMARK_CAPTURE(forward_only, linear_f32, Kind::plain, DType::f32)->Apply(lengths);
BENCHMARK_CAPTURE(forward_only, token_f32, Kind::token, DType::f32)->Apply(lengths);
BENCHMARK_CAPTURE(forward_only, channel_f32, Kind::channel, DType::f32)->Apply(lengths);
BENCHMARK_CAPTURE(forward_only, linear_bf16, Kind::plain, DType::bf16)->Apply(lengths);
BENCHMARK_CAPTURE(both_ways, softmax_f32, Kind::softmax, DType::f32)->Apply(lengths);
BENCHMARK_CAPTURE(both_ways, linear_f32, Kind::plain, DType::f32)->Apply(lengths);
BENCHMARK_CAPTURE(both_ways, token_f32, Kind::token, DType::f32)->Apply(lengths);
BENCHMARK_CAPTURE(both_ways, channel_f32, Kind::channel, DType::f32)->Apply(lengths);
BENCHMARK_CAPTURE(both_ways, linear_bf16, Kind::plain, DType::bf16)->Apply(lengths);

}  // namespace
}  // namespace heed

BENCHMARK_MAIN();
