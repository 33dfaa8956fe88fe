// What convolutional training is made of, channels last: convolutions beside oneDNN called for the
// whole batch at once (one thread; compare with one), and the memory-bound rest beside memcpy.
// Prints milliseconds of wall time, the rate, and the ratio to the yardstick of the same run
// (above 1: faster than it).
//
//   OMP_NUM_THREADS=1 build/bench_conv [part of a name]
//
// tests/interop/conv_bench.py times the same cases in PyTorch.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "autograd/ops/reduce.h"
#include "core/parallel.h"
#include "kernels/conv/onednn.h"
#include "kernels/norm/channel_norm.h"
#include "kernels/norm/norm.h"
#include "kernels/optim/adam.h"
#include "kernels/optim/sgd.h"
#include "kernels/pool/max_pool.h"
#include "kernels/random/fill.h"
#include "kernels/separable/separable.h"
#include "kernels/softmax/softmax.h"
#include "nn/attention/large_kernel_attention.h"

namespace heed::kernels {
namespace {

// The least of several runs.
double milliseconds(const std::function<void()>& fn) {
  fn();
  double best = 1e300;
  const auto start = std::chrono::steady_clock::now();
  for (int run = 0; run < 50; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    fn();
    const auto end = std::chrono::steady_clock::now();
    best = std::min(best, std::chrono::duration<double, std::milli>(end - begin).count());
    if (run >= 4 && end - start > std::chrono::milliseconds(400)) break;
  }
  return best;
}

Tensor random(const Shape& shape, uint64_t purpose) {
  const Tensor x = Tensor::empty(shape);
  fill_uniform(x, -1.0, 1.0, {1, purpose, 0});
  return x;
}

struct ConvCase {
  const char* name;
  int64_t size, in, out, kernel, stride, dilation, groups;
};

constexpr int64_t kBatch = 16;

const std::vector<ConvCase>& conv_cases() {
  static const std::vector<ConvCase> all = {
      {"conv 3x3", 32, 64, 64, 3, 1, 1, 1},
      {"conv 3x3 wide", 14, 256, 256, 3, 1, 1, 1},
      {"conv 3x3 stride 2", 32, 64, 128, 3, 2, 1, 1},
      {"conv 1x1", 28, 128, 256, 1, 1, 1, 1},
      {"conv 7x7 stride 2", 112, 3, 64, 7, 2, 1, 1},
      {"depthwise 3x3", 28, 256, 256, 3, 1, 1, 256},
      {"depthwise 3x3 stride 2", 28, 256, 256, 3, 2, 1, 256},
      {"depthwise 5x5", 28, 128, 128, 5, 1, 1, 128},
      {"depthwise 7x7", 28, 96, 96, 7, 1, 1, 96},
      {"depthwise 3x3 dilation 2", 28, 128, 128, 3, 1, 2, 128},
      {"depthwise 7x7 dilation 3", 28, 160, 160, 7, 1, 3, 160},
  };
  return all;
}

void report(const std::string& name, double ours, double amount, const char* unit, double theirs,
            const char* yardstick) {
  fmt::print("{:<44} {:9.3f} ms {:8.1f} {:<7} {:5.2f} x {}\n", name, ours, amount / ours / 1e6,
             unit, theirs / ours, yardstick);
}

void run_conv(const ConvCase& c) {
  const Shape x_shape{kBatch, c.size, c.size, c.in};
  const Shape w_shape{c.out, c.kernel, c.kernel, c.in / c.groups};
  const int64_t padding = c.dilation * (c.kernel - 1) / 2;
  const ConvGeometry g{
      {c.stride, c.stride}, {padding, padding}, {c.dilation, c.dilation}, c.groups};
  const ConvPlan plan = plan_conv(x_shape, w_shape, g, "bench");
  const Tensor x = random(x_shape, 1), w = random(w_shape, 2);
  const Tensor dy = random(conv_output_shape(x_shape, w_shape, g), 3);
  const Tensor y = Tensor::empty(dy.shape()), dx = Tensor::empty(x_shape),
               dw = Tensor::empty(w_shape);
  const double flops = plan.flops_per_image() * static_cast<double>(kBatch);
  const auto line = [&](const char* pass, const std::function<void()>& ours,
                        const std::function<void()>& theirs) {
    report(fmt::format("{}, {}", c.name, pass), milliseconds(ours), flops, "GFLOP/s",
           milliseconds(theirs), "oneDNN");
  };
  line(
      "forward", [&] { conv(x, w, {}, g); },
      [&] {
        const PackedWeight packed = pack_weight(plan, ConvPass::forward, DType::f32, w);
        conv_forward_onednn(plan, DType::f32, x.raw(), packed, nullptr, y.data<float>());
      });
  line(
      "input gradient", [&] { conv_input_gradient(dy, w, x_shape, g); },
      [&] {
        const PackedWeight packed = pack_weight(plan, ConvPass::input_gradient, DType::f32, w);
        conv_input_gradient_onednn(plan, DType::f32, dy.raw(), packed, dx.data<float>());
      });
  line(
      "weight gradient", [&] { conv_weight_gradient(dy, x, w_shape, g); },
      [&] { conv_weight_gradient_onednn(plan, DType::f32, dy.raw(), x.raw(), dw.data<float>()); });
}

// Large kernel attention of VAN-B0 on its first and third maps (tests/interop/conv_bench.py has the
// same), beside the same with the one convolution of 21 x 21 that its two depthwise ones stand for.
std::unique_ptr<nn::LargeKernelAttention> large_kernel(int64_t dim,
                                                       const nn::LargeKernelOptions& o) {
  nn::AttentionHost host;
  host.dim = dim;
  host.heads = 1;
  host.causal = false;
  auto attention = std::make_unique<nn::LargeKernelAttention>(host, o);
  attention->initialise(1);
  return attention;
}

void run_large_kernel(int64_t size, int64_t dim) {
  const auto ours = large_kernel(dim, {}),
             whole = large_kernel(dim, {.dilation = 11, .far = false});
  Tensor x = random({kBatch, size * size, dim}, 1);
  require_grad(x);
  const nn::AttentionContext context{.grid = {size, size}};
  const auto forward = [&](nn::LargeKernelAttention& attention) {
    const NoGrad no_grad;
    attention.forward(x, context);
  };
  const auto both = [&](nn::LargeKernelAttention& attention) {
    clear_grad(x);
    for (const auto& p : attention.named_parameters()) clear_grad(*p.tensor);
    heed::backward(heed::sum(attention.forward(x, context)));
  };
  const double flops = ours->flops(size * size) * static_cast<double>(kBatch);
  const std::string name = fmt::format("large kernel attention {0} x {0} x {1}", size, dim);
  report(name + ", forward", milliseconds([&] { forward(*ours); }), flops, "GFLOP/s",
         milliseconds([&] { forward(*whole); }), "21 x 21");
  report(name + ", forward and backward", milliseconds([&] { both(*ours); }), 3 * flops, "GFLOP/s",
         milliseconds([&] { both(*whole); }), "21 x 21");
}

struct MemoryCase {
  const char* name;
  double bytes;
  std::function<void()> run;
};

AxisMap means_of(int64_t extent, int64_t window) {
  AxisMap map(extent);
  for (int64_t o = 0; o < extent / window; ++o) {
    for (int64_t k = 0; k < window; ++k) map.add(o * window + k, 1.0 / static_cast<double>(window));
    map.end_row();
  }
  return map;
}

// Twice as large, between neighbours (half-pixel centres).
AxisMap twice(int64_t extent) {
  AxisMap map(extent);
  for (int64_t o = 0; o < 2 * extent; ++o) {
    const double at = std::max(0.0, (static_cast<double>(o) + 0.5) / 2.0 - 0.5);
    const auto low = static_cast<int64_t>(at);
    const double share = at - static_cast<double>(low);
    map.add(low, 1.0 - share);
    if (share > 0.0) map.add(std::min(low + 1, extent - 1), share);
    map.end_row();
  }
  return map;
}

std::vector<MemoryCase> memory_cases() {
  const Tensor x = random({kBatch, 56, 56, 64}, 1);
  const Tensor pixels = random({1, kBatch * 56 * 56, 64}, 2);  // statistics of the whole batch
  const Tensor one = Tensor::full({64}, 1.0), zero = Tensor::zeros({64});
  const double image = static_cast<double>(x.bytes());
  const Tensor rows = random({4096, 1024}, 3), wide = Tensor::full({1024}, 1.0);
  const double matrix = static_cast<double>(rows.bytes());
  const PoolGeometry pool{{3, 3}, {2, 2}, {1, 1}, {1, 1}};
  const std::vector<AxisMap> halves{means_of(56, 2), means_of(56, 2)},
      doubles{twice(56), twice(56)};
  const Tensor p = random({4 << 20}, 4), m = Tensor::zeros({4 << 20}), v = Tensor::zeros({4 << 20});
  const Tensor g = random({4 << 20}, 5);
  const double parameters = static_cast<double>(p.bytes());
  return {
      {"batch norm, forward in training", 3 * image,
       [=] {
         const ChannelMoments moments = channel_moments(pixels, 64, "bench");
         channel_norm(pixels, moments.mean, inverse_std(moments.var, 1e-5), one, zero, "bench");
       }},
      {"layer norm, forward", 2 * matrix,
       [=] { norm(Norm::layer, {}, rows, wide, Tensor::zeros({1024}), 1e-5); }},
      {"softmax, forward", 2 * matrix, [=] { kernels::softmax(rows, -1); }},
      {"max pool 3x3 stride 2, forward", 1.5 * image, [=] { max_pool(x, pool, false); }},
      {"average pool 2x2, forward", 1.25 * image, [=] { separable(x, halves, "bench"); }},
      {"bilinear, twice as large", 5 * image, [=] { separable(x, doubles, "bench"); }},
      {"AdamW", 7 * parameters,
       [=] {
         adam(std::vector<AdamUpdate>{{p, g, m, v}}, Decay::decoupled, 1);
       }},
      {"SGD with momentum", 5 * parameters,
       [=] {
         sgd(std::vector<SgdUpdate>{{.parameter = p,
                                     .gradient = g,
                                     .momentum_buffer = m,
                                     .lr = 1e-6,
                                     .momentum = 0.9}},
             false);
       }},
  };
}

// Bytes a millisecond, read and written, that all threads copy.
double copy_rate() {
  const int64_t bytes = 64 << 20;
  const Tensor from = Tensor::full({bytes}, 1, DType::u8), to = Tensor::full({bytes}, 1, DType::u8);
  const double ms = milliseconds([&] {
    parallel_for(bytes, 256 << 10, [&](int64_t begin, int64_t end) {
      std::memcpy(to.data<uint8_t>() + begin, from.data<uint8_t>() + begin,
                  static_cast<size_t>(end - begin));
    });
  });
  return 2.0 * static_cast<double>(bytes) / ms;
}

void run_all(const std::string& part) {
  const auto chosen = [&](const std::string& name) { return name.find(part) != std::string::npos; };
  for (const ConvCase& c : conv_cases()) {
    if (chosen(c.name)) run_conv(c);
  }
  for (const auto& [size, dim] : {std::pair<int64_t, int64_t>{56, 32}, {14, 160}}) {
    if (chosen("large kernel attention")) run_large_kernel(size, dim);
  }
  const double rate = copy_rate();
  for (const MemoryCase& c : memory_cases()) {
    if (!chosen(c.name)) continue;
    const double ms = milliseconds(c.run);
    report(c.name, ms, c.bytes, "GB/s", c.bytes / rate, "memcpy");
  }
}

}  // namespace
}  // namespace heed::kernels

int main(int argc, char** argv) {
  heed::kernels::run_all(argc > 1 ? argv[1] : "");
  return 0;
}
