// Projection and cross-entropy in chunks: FLOP/s of its three products (the loss itself included in
// the time), beside the same products alone on whole logits; and the loss on logits at hand.
#include "autograd/ops/loss.h"

#include "core/random.h"
#include "core/views.h"
#include "kernels/loss/cross_entropy.h"
#include "kernels/loss/linear_cross_entropy.h"
#include "kernels/matmul/matmul.h"
#include "kernels/random/fill.h"
#include "tools/benchmarks/memory_rate.h"

namespace heed {
namespace {

Tensor random(const Shape& shape, DType dtype, double std = 1) {
  const Tensor x = Tensor::empty(shape, dtype);
  kernels::fill_normal(x, 0, std, RandomKey{});
  return x;
}

Tensor random_targets(int64_t rows, int64_t classes) {
  const Tensor ids = Tensor::empty({rows}, DType::i64);
  const RandomStream stream(RandomKey{});
  for (int64_t i = 0; i < rows; ++i) {
    ids.data<int64_t>()[i] = static_cast<int64_t>(stream.below(i, classes));
  }
  return ids;
}

void count_flops(benchmark::State& state, int64_t rows, int64_t width, int64_t classes) {
  state.counters["FLOP/s"] = benchmark::Counter(6.0 * static_cast<double>(rows * width * classes),
                                                benchmark::Counter::kIsIterationInvariantRate);
}

void products_alone(benchmark::State& state, DType dtype) {
  const int64_t rows = state.range(0), width = state.range(1), classes = state.range(2);
  const Tensor x = random({rows, width}, dtype), w = random({classes, width}, dtype, 0.02);
  const Tensor logits = Tensor::empty({rows, classes}), dlogits = random({rows, classes}, dtype);
  const Tensor dx = Tensor::empty({rows, width}, dtype), dw = Tensor::empty({classes, width});
  for (auto _ : state) {
    kernels::gemm(x, views::transpose(w, 0, 1), logits);
    kernels::gemm(dlogits, w, dx);
    kernels::gemm(views::transpose(dlogits, 0, 1), x, dw);
  }
  count_flops(state, rows, width, classes);
}

void chunked(benchmark::State& state, DType dtype) {
  const int64_t rows = state.range(0), width = state.range(1), classes = state.range(2);
  const Tensor x = random({rows, width}, dtype), w = random({classes, width}, DType::f32, 0.02);
  const auto targets =
      kernels::read_targets(random_targets(rows, classes), classes, -100, "cross_entropy");
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        kernels::linear_cross_entropy(x, w, {}, targets, 0.0, {.dx = true, .dweight = true}));
  }
  count_flops(state, rows, width, classes);
  state.counters["rows a chunk"] =
      static_cast<double>(kernels::linear_cross_entropy_chunk(classes));
}

void on_logits(benchmark::State& state, DType dtype) {
  const int64_t rows = state.range(0), classes = state.range(2);
  const Tensor logits = random({rows, classes}, dtype);
  const auto targets =
      kernels::read_targets(random_targets(rows, classes), classes, -100, "cross_entropy");
  const Tensor losses = Tensor::empty({rows}), lse = Tensor::empty({rows});
  for (auto _ : state) {
    kernels::cross_entropy(logits, targets, 0.0, losses, lse);
    benchmark::DoNotOptimize(kernels::cross_entropy_backward(logits, targets, 0.0, lse, 1.0));
  }
  state.SetBytesProcessed(state.iterations() * logits.bytes() * 3);
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"rows", "width", "classes"})->UseRealTime();
  b->Args({768, 128, 65})->Args({4096, 384, 65})->Args({4096, 384, 8192})->Args({1024, 384, 50257});
}

BENCHMARK(copy_memory)->Arg(64 << 20)->UseRealTime();
BENCHMARK_CAPTURE(products_alone, f32, DType::f32)->Apply(sizes);
BENCHMARK_CAPTURE(chunked, f32, DType::f32)->Apply(sizes);
BENCHMARK_CAPTURE(products_alone, bf16, DType::bf16)->Apply(sizes);
BENCHMARK_CAPTURE(chunked, bf16, DType::bf16)->Apply(sizes);
BENCHMARK_CAPTURE(on_logits, f32, DType::f32)->Apply(sizes);
BENCHMARK_CAPTURE(on_logits, bf16, DType::bf16)->Apply(sizes);

}  // namespace
}  // namespace heed

BENCHMARK_MAIN();
