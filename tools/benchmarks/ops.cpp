// Differentiable ops that are bound by memory or by many small steps, forward and with their
// gradients through the tape. tests/interop/ops_bench.py runs this and PyTorch's, and prints
// ratios.
#include <benchmark/benchmark.h>

#include <functional>

#include "autograd/ops/channel_norm.h"
#include "autograd/ops/distribution_loss.h"
#include "autograd/ops/fft.h"
#include "autograd/ops/interpolate.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/metric_loss.h"
#include "autograd/ops/pointwise_loss.h"
#include "autograd/ops/pool.h"
#include "autograd/ops/rnn.h"
#include "core/random.h"
#include "kernels/random/fill.h"

namespace heed {
namespace {

Tensor normal(const Shape& shape, double scale = 1.0) {
  const Tensor x = Tensor::empty(shape);
  kernels::fill_normal(x, 0, scale, RandomKey{});
  return x;
}

Tensor leaf(const Shape& shape, double scale = 1.0) {
  Tensor x = normal(shape, scale);
  return require_grad(x);
}

/// Numbers in [0.05, 0.95].
Tensor share(const Shape& shape) {
  const Tensor x = Tensor::empty(shape);
  kernels::fill_uniform(x, 0.05, 0.95, RandomKey{});
  return x;
}

void add(const std::string& name, const std::vector<Tensor>& leaves,
         const std::function<Tensor()>& fn) {
  benchmark::RegisterBenchmark((name + "/forward").c_str(), [=](benchmark::State& state) {
    const NoGrad none;
    for (auto _ : state) benchmark::DoNotOptimize(fn());
  });
  benchmark::RegisterBenchmark((name + "/both").c_str(), [=](benchmark::State& state) {
    const Tensor seed = [&] {
      const NoGrad none;
      return Tensor::full(fn().shape(), 1.0);
    }();
    for (auto _ : state) {
      backward(fn(), seed);
      for (const Tensor& x : leaves) clear_grad(x);
    }
  });
}

void add_rows() {
  const Tensor x = leaf({4096, 1024}), y = normal({4096, 1024}), p = share({4096, 1024});
  Tensor q = share({4096, 1024});
  require_grad(q);
  add("softmax", {x}, [=] { return softmax(x, -1); });
  add("log_softmax", {x}, [=] { return log_softmax(x, -1); });
  add("mse", {x}, [=] { return mse_loss(x, y); });
  add("l1", {x}, [=] { return l1_loss(x, y); });
  add("huber", {x}, [=] { return huber_loss(x, y); });
  add("bce_with_logits", {x}, [=] { return bce_with_logits(x, p); });
  add("bce", {q}, [=] { return binary_cross_entropy(q, p); });
  add("kl_div", {x}, [=] { return kl_div(x, p); });
  add("soft_cross_entropy", {x}, [=] { return soft_cross_entropy(x, p); });
  add("cosine_similarity", {x}, [=] { return cosine_similarity(x, y); });
  const Tensor a = leaf({512, 256}), b = normal({512, 256});
  add("info_nce", {a}, [=] { return info_nce_loss(a, b, 0.1, false); });
}

void add_images() {
  const Tensor x = leaf({16, 56, 56, 64}), w = leaf({64}), b = leaf({64});
  add("batch_norm", {x, w, b}, [=] { return batch_norm(x, w, b).out; });
  add("group_norm", {x, w, b}, [=] { return group_norm(x, 8, w, b); });
  add("instance_norm", {x, w, b}, [=] { return instance_norm(x, w, b); });
  add("max_pool", {x}, [=] { return max_pool(x, {.kernel = {3}, .stride = {2}, .padding = {1}}); });
  add("avg_pool", {x}, [=] { return avg_pool(x, {.kernel = {2}}); });
  add("global_pool", {x}, [=] { return adaptive_avg_pool(x, {1}); });
  add("bilinear_up", {x}, [=] { return interpolate(x, {112, 112}, Interpolation::linear); });
  add("bilinear_down", {x}, [=] { return interpolate(x, {28, 28}, Interpolation::linear); });
  add("nearest_up", {x}, [=] { return interpolate(x, {112, 112}); });
  const Tensor small = leaf({16, 28, 28, 32});
  add("bicubic_up", {small}, [=] { return interpolate(small, {56, 56}, Interpolation::cubic); });
}

void add_recurrent() {
  const Tensor x = leaf({32, 64, 128});
  const auto weights = [](int64_t gates) {
    return RnnWeights{leaf({gates * 256, 128}, 0.05), leaf({gates * 256, 256}, 0.05),
                      leaf({gates * 256}), leaf({gates * 256})};
  };
  const RnnWeights g = weights(3), l = weights(4);
  const auto all = [&](const RnnWeights& w) {
    return std::vector<Tensor>{x, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh};
  };
  add("gru", all(g), [=] { return gru(x, g).out; });
  add("lstm", all(l), [=] { return lstm(x, l).out; });
}

void add_transforms() {
  const Tensor complex = leaf({1024, 256, 2}), real = leaf({1024, 1024}),
               maps = leaf({16, 128, 128}), prime = leaf({256, 1009, 2}),
               half = leaf({16, 128, 65, 2});
  add("fft", {complex}, [=] { return fftn(complex, {1}); });
  add("rfft", {real}, [=] { return rfft(real); });
  add("rfft2", {maps}, [=] { return rfftn(maps, {1, 2}); });
  add("irfft2", {half}, [=] { return irfftn(half, {1, 2}, 128); });
  add("fft_prime", {prime}, [=] { return fftn(prime, {1}); });
}

}  // namespace
}  // namespace heed

int main(int argc, char** argv) {
  heed::add_rows();
  heed::add_images();
  heed::add_recurrent();
  heed::add_transforms();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
