// Optimiser steps over a decoder's parameters: bytes that must move over time, beside memcpy in the
// same run.
#include "kernels/optim/adam.h"
#include "kernels/optim/lists.h"
#include "kernels/optim/sgd.h"
#include "tools/benchmarks/memory_rate.h"

namespace heed {
namespace {

// The shapes of a decoder of `layers` blocks of width `width`, vocabulary 65.
std::vector<Tensor> decoder(int64_t layers, int64_t width, double value) {
  std::vector<Tensor> tensors = {Tensor::full({65, width}, value)};
  for (int64_t i = 0; i < layers; ++i) {
    for (const int64_t out : {3, 1, 4})
      tensors.push_back(Tensor::full({out * width, width}, value));
    tensors.push_back(Tensor::full({width, 4 * width}, value));
    for (const int64_t n : {1, 1, 1, 1, 3, 1, 4, 1}) {
      tensors.push_back(Tensor::full({n * width}, value));
    }
  }
  return tensors;
}

int64_t bytes_of(const std::vector<Tensor>& tensors) {
  int64_t bytes = 0;
  for (const Tensor& t : tensors) bytes += t.bytes();
  return bytes;
}

void adamw(benchmark::State& state) {
  const int64_t layers = state.range(0), width = state.range(1);
  const auto p = decoder(layers, width, 0.5), g = decoder(layers, width, 0.01),
             m = decoder(layers, width, 0), v = decoder(layers, width, 0);
  std::vector<kernels::AdamUpdate> updates;
  for (size_t i = 0; i < p.size(); ++i) updates.push_back({p[i], g[i], m[i], v[i]});
  int64_t step = 0;
  for (auto _ : state) kernels::adam(updates, kernels::Decay::decoupled, ++step);
  state.SetBytesProcessed(state.iterations() * bytes_of(p) * 7);
}

void sgd_momentum(benchmark::State& state) {
  const int64_t layers = state.range(0), width = state.range(1);
  const auto p = decoder(layers, width, 0.5), g = decoder(layers, width, 0.01),
             b = decoder(layers, width, 0);
  std::vector<kernels::SgdUpdate> updates;
  for (size_t i = 0; i < p.size(); ++i) {
    updates.push_back({.parameter = p[i],
                       .gradient = g[i],
                       .momentum_buffer = b[i],
                       .lr = 1e-6,
                       .momentum = 0.9});
  }
  for (auto _ : state) kernels::sgd(updates, false);
  state.SetBytesProcessed(state.iterations() * bytes_of(p) * 5);
}

void norm(benchmark::State& state) {
  const auto g = decoder(state.range(0), state.range(1), 0.01);
  for (auto _ : state) benchmark::DoNotOptimize(kernels::global_norm(g));
  state.SetBytesProcessed(state.iterations() * bytes_of(g));
}

void ema(benchmark::State& state) {
  const auto p = decoder(state.range(0), state.range(1), 0.5),
             a = decoder(state.range(0), state.range(1), 0.5);
  for (auto _ : state) kernels::ema_update(a, p, 0.999);
  state.SetBytesProcessed(state.iterations() * bytes_of(p) * 3);
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"layers", "width"})->Args({4, 128})->Args({6, 384})->Args({12, 768})->UseRealTime();
}

BENCHMARK(copy_memory)->Arg(4 << 20)->Arg(64 << 20)->Arg(340 << 20)->UseRealTime();
BENCHMARK(adamw)->Apply(sizes);
BENCHMARK(sgd_momentum)->Apply(sizes);
BENCHMARK(norm)->Apply(sizes);
BENCHMARK(ema)->Apply(sizes);

}  // namespace
}  // namespace heed

BENCHMARK_MAIN();
