// Norms, softmax and embeddings: bytes that must move over time, beside memcpy in the same run.
#include "kernels/norm/norm.h"

#include "core/random.h"
#include "kernels/index/index.h"
#include "kernels/random/fill.h"
#include "kernels/softmax/softmax.h"
#include "tools/benchmarks/memory_rate.h"

namespace heed {
namespace {

using kernels::Norm;

Tensor random(const Shape& shape, DType dtype) {
  const Tensor x = Tensor::empty(shape, dtype);
  kernels::fill_normal(x, 0, 1, RandomKey{});
  return x;
}

void forward(benchmark::State& state, Norm kind, DType dtype, bool fused) {
  const int64_t rows = state.range(0), width = state.range(1);
  const Tensor x = random({rows, width}, dtype), w = random({width}, DType::f32);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        kernels::norm(kind, fused ? x : Tensor(), x, w, kind == Norm::layer ? w : Tensor(), 1e-5));
  }
  state.SetBytesProcessed(state.iterations() * x.bytes() * (fused ? 4 : 2));
}

void backward(benchmark::State& state, Norm kind, DType dtype, bool fused) {
  const int64_t rows = state.range(0), width = state.range(1);
  const Tensor x = random({rows, width}, dtype), w = random({width}, DType::f32);
  const auto r = kernels::norm(kind, {}, x, w, kind == Norm::layer ? w : Tensor(), 1e-5);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        kernels::norm_backward(kind, x, fused ? x : Tensor(), x, w, r.mean, r.rstd,
                               {.dx = true, .dweight = true, .dbias = kind == Norm::layer}));
  }
  state.SetBytesProcessed(state.iterations() * x.bytes() * (fused ? 4 : 3));
}

void softmax_last(benchmark::State& state, DType dtype) {
  const Tensor x = random({state.range(0), state.range(1)}, dtype);
  for (auto _ : state) benchmark::DoNotOptimize(kernels::softmax(x, -1));
  state.SetBytesProcessed(state.iterations() * x.bytes() * 2);
}

void embed(benchmark::State& state, DType dtype) {
  const int64_t vocabulary = state.range(0), width = state.range(1), tokens = 4096;
  const Tensor w = random({vocabulary, width}, DType::f32);
  const Tensor ids = Tensor::empty({tokens}, DType::i64);
  const RandomStream stream(RandomKey{});
  for (int64_t i = 0; i < tokens; ++i) {
    ids.data<int64_t>()[i] = static_cast<int64_t>(stream.below(i, vocabulary));
  }
  for (auto _ : state) benchmark::DoNotOptimize(kernels::take(w, 0, ids, dtype, "embedding"));
  state.SetBytesProcessed(state.iterations() * tokens * width *
                          static_cast<int64_t>(4 + size_of(dtype)));
}

void embed_backward(benchmark::State& state, DType dtype) {
  const int64_t vocabulary = state.range(0), width = state.range(1), tokens = 4096;
  const Tensor dy = random({tokens, width}, dtype);
  const Tensor ids = Tensor::empty({tokens}, DType::i64);
  const RandomStream stream(RandomKey{});
  for (int64_t i = 0; i < tokens; ++i) {
    ids.data<int64_t>()[i] = static_cast<int64_t>(stream.below(i, vocabulary));
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        kernels::take_backward(dy, 0, ids, {vocabulary, width}, DType::f32, "embedding"));
  }
  state.SetBytesProcessed(state.iterations() * (dy.bytes() + vocabulary * width * 4));
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"rows", "width"})->Args({4096, 384})->Args({16384, 1024})->UseRealTime();
}

void vocabularies(benchmark::internal::Benchmark* b) {
  b->ArgNames({"vocabulary", "width"})->Args({65, 384})->Args({100000, 384})->UseRealTime();
}

BENCHMARK(copy_memory)->Arg(4096 * 384 * 4)->Arg(16384 * 1024 * 4)->UseRealTime();
BENCHMARK_CAPTURE(forward, layer_f32, Norm::layer, DType::f32, false)->Apply(sizes);
BENCHMARK_CAPTURE(forward, layer_bf16, Norm::layer, DType::bf16, false)->Apply(sizes);
BENCHMARK_CAPTURE(forward, add_layer_f32, Norm::layer, DType::f32, true)->Apply(sizes);
BENCHMARK_CAPTURE(forward, rms_f32, Norm::rms, DType::f32, false)->Apply(sizes);
BENCHMARK_CAPTURE(backward, layer_f32, Norm::layer, DType::f32, false)->Apply(sizes);
BENCHMARK_CAPTURE(backward, layer_bf16, Norm::layer, DType::bf16, false)->Apply(sizes);
BENCHMARK_CAPTURE(backward, add_layer_f32, Norm::layer, DType::f32, true)->Apply(sizes);
BENCHMARK_CAPTURE(backward, rms_f32, Norm::rms, DType::f32, false)->Apply(sizes);
BENCHMARK_CAPTURE(softmax_last, f32, DType::f32)->Apply(sizes);
BENCHMARK_CAPTURE(softmax_last, bf16, DType::bf16)->Apply(sizes);
BENCHMARK_CAPTURE(embed, f32, DType::f32)->Apply(vocabularies);
BENCHMARK_CAPTURE(embed, bf16, DType::bf16)->Apply(vocabularies);
BENCHMARK_CAPTURE(embed_backward, f32, DType::f32)->Apply(vocabularies);
BENCHMARK_CAPTURE(embed_backward, bf16, DType::bf16)->Apply(vocabularies);

}  // namespace
}  // namespace heed

BENCHMARK_MAIN();
