// Large kernel attention and VAN: the definition pixel by pixel, closed-form examples, sizes and
// operations as published.
#include "nn/models/van.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "nn/attention/large_kernel_attention.h"
#include "nn/attention/registry.h"
#include "nn/models/pyramid.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using testing::gradcheck_module;
using ::testing::HasSubstr;
using testing::random_tensor;
using testing::relative_distance;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

AttentionHost host_of(int64_t dim) {
  AttentionHost host;
  host.dim = dim;
  host.heads = 1;
  host.causal = false;
  return host;
}

/// In f64, with random parameters.
std::unique_ptr<LargeKernelAttention> made(int64_t dim, const LargeKernelOptions& options = {}) {
  auto attention = std::make_unique<LargeKernelAttention>(host_of(dim), options);
  attention->assign_paths();
  attention->convert(DType::f64);
  testing::randomise(*attention);
  return attention;
}

/// What is inside the gate, by itself: u is the input, a its surroundings.
void open_projections(LargeKernelAttention& attention) {
  const int64_t dim = attention.proj_out.weight.size(0);
  Tensor one = Tensor::zeros({dim, dim}, DType::f64);
  for (int64_t c = 0; c < dim; ++c) one.data<double>()[c * dim + c] = 1.0;
  attention.proj_out.weight = one;
  attention.proj_out.bias = Tensor::zeros({dim}, DType::f64);
}

struct Map {
  int64_t height, width, channels;
  std::vector<double> values;

  double at(int64_t y, int64_t x, int64_t c) const {
    if (y < 0 || y >= height || x < 0 || x >= width) return 0.0;
    return values[static_cast<size_t>((y * width + x) * channels + c)];
  }
};

Map linear_of(const Map& in, Linear& layer) {
  const std::vector<double> w = layer.weight.to_vector<double>(),
                            b = layer.bias.to_vector<double>();
  Map out = in;
  for (size_t p = 0; p < in.values.size(); p += static_cast<size_t>(in.channels)) {
    for (int64_t o = 0; o < in.channels; ++o) {
      double sum = b[static_cast<size_t>(o)];
      for (int64_t c = 0; c < in.channels; ++c)
        sum += w[static_cast<size_t>(o * in.channels + c)] * in.values[p + static_cast<size_t>(c)];
      out.values[p + static_cast<size_t>(o)] = sum;
    }
  }
  return out;
}

Map depthwise_of(const Map& in, Conv& conv, int64_t dilation) {
  const std::vector<double> w = conv.weight.to_vector<double>(), b = conv.bias.to_vector<double>();
  const int64_t taps = conv.weight.size(1), middle = taps / 2;
  Map out = in;
  for (int64_t y = 0; y < in.height; ++y) {
    for (int64_t x = 0; x < in.width; ++x) {
      for (int64_t c = 0; c < in.channels; ++c) {
        double sum = b[static_cast<size_t>(c)];
        for (int64_t i = 0; i < taps; ++i) {
          for (int64_t j = 0; j < taps; ++j) {
            sum += w[static_cast<size_t>((c * taps + i) * taps + j)] *
                   in.at(y + (i - middle) * dilation, x + (j - middle) * dilation, c);
          }
        }
        out.values[static_cast<size_t>((y * in.width + x) * in.channels + c)] = sum;
      }
    }
  }
  return out;
}

TEST(LargeKernelAttention, EqualsItsDefinitionPixelByPixel) {
  const int64_t height = 9, width = 13, channels = 3;
  for (const std::string gate : {"mul", "add", "none", "sigmoid_mul"}) {
    for (const auto& [kernel, dilation] : {std::pair<int64_t, int64_t>{21, 3}, {9, 3}, {7, 2}}) {
      if (kernel == 7 && gate != "mul") continue;
      LargeKernelOptions o;
      o.kernel = kernel == 7 ? 6 : kernel;  // ceil(6 / 2) = 3 taps
      o.dilation = dilation;
      o.gate = gate;
      const auto attention = made(channels, o);
      const Tensor x = random_tensor({1, height * width, channels}, "x", DType::f64);
      const Map in{height, width, channels, x.to_vector<double>()};
      Map u = linear_of(in, attention->proj_in);
      for (double& v : u.values) v *= 0.5 * std::erfc(-v / std::sqrt(2.0));
      const Map a =
          linear_of(depthwise_of(depthwise_of(u, *attention->near, 1), *attention->far, dilation),
                    *attention->mix);
      Map y = u;
      for (size_t i = 0; i < y.values.size(); ++i) {
        const double own = u.values[i], other = a.values[i];
        y.values[i] = gate == "mul"    ? own * other
                      : gate == "add"  ? own + other
                      : gate == "none" ? other
                                       : own / (1.0 + std::exp(-other));
      }
      Map out = linear_of(y, attention->proj_out);
      for (size_t i = 0; i < out.values.size(); ++i) out.values[i] += in.values[i];
      const Tensor got = attention->forward(x, {.grid = {height, width}});
      // Chains of five sums, of 49 terms at most.
      EXPECT_LT(relative_distance(got, Tensor::from(out.values, got.shape())), 1e-13)
          << gate << kernel;
    }
  }
}

// a = 1 where only mix's bias is not 0; a = 0 without it; and u a is of the second degree in u.
TEST(LargeKernelAttention, GateOfOnesOfZerosAndItsDegree) {
  const auto attention = made(4);
  open_projections(*attention);
  const Tensor x = random_tensor({2, 35, 4}, "x", DType::f64);
  const AttentionContext context{.grid = {5, 7}};
  const auto gated = [&](const Tensor& in) { return sub(attention->forward(in, context), in); };
  const Tensor u = attention->proj_in.forward(x, Activation::gelu);
  attention->near->weight = mul(attention->near->weight, 0.0);
  attention->far->weight = mul(attention->far->weight, 0.0);
  for (Tensor* bias : {&attention->near->bias, &attention->far->bias}) *bias = mul(*bias, 0.0);
  attention->mix->bias = Tensor::full({4}, 1.0, DType::f64);
  EXPECT_LT(relative_distance(gated(x), u), 1e-14);
  attention->mix->bias = Tensor::zeros({4}, DType::f64);
  EXPECT_EQ(relative_distance(gated(x), Tensor::zeros(u.shape(), DType::f64)), 0.0);

  // Positive inputs far from 0 pass gelu unchanged.
  const auto second = made(4);
  open_projections(*second);
  second->proj_in.weight = second->proj_out.weight;
  second->proj_in.bias = Tensor::zeros({4}, DType::f64);
  for (Tensor* bias : {&second->near->bias, &second->far->bias, &second->mix->bias})
    *bias = mul(*bias, 0.0);
  const Tensor high = add(abs(x), 40.0);
  const auto degree = [&](double factor) {
    const Tensor in = mul(high, factor);
    return sub(second->forward(in, context), in);
  };
  EXPECT_LT(relative_distance(degree(3.0), mul(degree(1.0), 9.0)), 1e-13);
}

// One pixel of 1, all depthwise weights 1: 5 taps, then 7 taps 3 apart, along each axis.
TEST(LargeKernelAttention, ProfileOfAnImpulse) {
  const auto attention = made(1, {.gate = "none"});
  open_projections(*attention);
  for (Tensor* one : {&attention->near->weight, &attention->far->weight, &attention->mix->weight,
                      &attention->proj_in.weight})
    *one = Tensor::full(one->shape(), 1.0, DType::f64);
  for (Tensor* zero : {&attention->near->bias, &attention->far->bias, &attention->mix->bias,
                       &attention->proj_in.bias})
    *zero = Tensor::zeros(zero->shape(), DType::f64);
  constexpr int64_t kSide = 27, kMiddle = 13;
  constexpr double kHigh = 40.0;  // passes gelu unchanged
  Tensor x = Tensor::zeros({1, kSide * kSide, 1}, DType::f64);
  x.data<double>()[kMiddle * kSide + kMiddle] = kHigh;
  const AttentionContext context{.grid = {kSide, kSide}};
  const std::vector<double> gate =
      mul(sub(attention->forward(x, context), x), 1.0 / kHigh).to_vector<double>();
  const int profile[] = {1, 1, 1, 2, 2, 1, 2, 2, 1, 2, 2, 1, 2, 2, 1, 2, 2, 1, 2, 2, 1, 1, 1};
  const auto along = [&](int64_t i) {
    const int64_t at = i - kMiddle + 11;
    return at < 0 || at > 22 ? 0 : profile[at];
  };
  for (int64_t i = 0; i < kSide; ++i) {
    for (int64_t j = 0; j < kSide; ++j)
      EXPECT_NEAR(gate[static_cast<size_t>(i * kSide + j)], along(i) * along(j), 1e-13);
  }
}

TEST(LargeKernelAttention, SeesTwentyThreePixelsEachWay) {
  constexpr int64_t kSide = 29, kMiddle = 14;
  const auto attention = made(2);
  for (const auto& p : attention->named_parameters()) {
    if (p.name.find("weight") == std::string::npos) continue;
    Tensor positive = abs(*p.tensor).detach();
    *p.tensor = require_grad(positive);
  }
  Tensor x = abs(random_tensor({1, kSide * kSide, 2}, "x", DType::f64)).detach();
  require_grad(x);
  const Tensor y = attention->forward(x, {.grid = {kSide, kSide}});
  const int64_t at = kMiddle * kSide + kMiddle;
  backward(sum(slice(y, 1, at, at + 1)));
  const std::vector<double> dx = grad(x).to_vector<double>();
  for (int64_t i = 0; i < kSide; ++i) {
    for (int64_t j = 0; j < kSide; ++j) {
      const bool near = std::abs(i - kMiddle) <= 11 && std::abs(j - kMiddle) <= 11;
      EXPECT_EQ(dx[static_cast<size_t>(2 * (i * kSide + j))] != 0.0, near) << i << " " << j;
    }
  }
}

// On a 6 x 6 map the far taps reach beyond the borders; a class token is gated by the mean.
TEST(LargeKernelAttention, GradientsAgreeWithDifferences) {
  const Inputs image{{"x", random_tensor({1, 6, 6, 2}, "x", DType::f64)}};
  for (const char* slot :
       {"{type: large_kernel}", "{type: large_kernel, gate: sigmoid_mul, mix: false}",
        "{type: large_kernel, gate: add, far: false}"}) {
    EXPECT_EQ(
        gradcheck_module("pyramid", "model",
                         yaml(fmt::format("{{height: 6, width: 6, channels: 2, classes: 2, "
                                          "depths: [1], dims: [3], heads: [1], patch: 1, mlp: "
                                          "none, attention: {}}}",
                                          slot)),
                         image),
        "")
        << slot;
  }
  EXPECT_EQ(
      gradcheck_module("vit", "model",
                       yaml("{height: 6, width: 6, channels: 2, classes: 2, patch: 2, layers: "
                            "1, dim: 4, heads: 1, hidden: 3, attention: large_kernel}"),
                       image),
      "");
  EXPECT_EQ(gradcheck_module("large_kernel", "attention",
                             yaml("{dim: 3, heads: 1, causal: false, axes: 1, kernel: 9}"),
                             {{"x", random_tensor({2, 11, 3}, "x", DType::f64)}}),
            "");
}

TEST(LargeKernelAttention, ParametersByTheFormula) {
  for (const int64_t c : {5, 64}) {
    EXPECT_EQ(made(c)->parameter_count(), 3 * c * c + 79 * c);
    EXPECT_EQ(made(c)->flops(10), 2.0 * 10 * static_cast<double>(3 * c * c + 74 * c));
  }
}

TEST(LargeKernelAttention, ConvolutionsStartByTheirFanOut) {
  LargeKernelAttention attention(host_of(512), {});
  attention.initialise(4);
  const auto deviation = [](const Tensor& x) {
    double total = 0.0;
    for (const float v : x.to_vector<float>()) total += static_cast<double>(v) * v;
    return std::sqrt(total / static_cast<double>(x.numel()));
  };
  // Of n normal draws the deviation is known to 1 / sqrt(2 n): n = 12,800 and 25,088; five of them.
  EXPECT_NEAR(deviation(attention.near->weight) / std::sqrt(2.0 / 25), 1.0, 0.032);
  EXPECT_NEAR(deviation(attention.far->weight) / std::sqrt(2.0 / 49), 1.0, 0.023);
  EXPECT_EQ(deviation(attention.near->bias), 0.0);
}

TEST(LargeKernelAttention, SaysWhatCannotBe) {
  const auto refusal = [](const std::string& slot, AttentionHost host) {
    try {
      make_attention(yaml(slot), host);
    } catch (const RequestError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  AttentionHost host = host_of(4);
  EXPECT_EQ(refusal("{type: lka}", host), "");
  EXPECT_THAT(refusal("{type: large_kernel, kernel: 4, dilation: 2}", host), HasSubstr("odd"));
  host.position = "rotary";
  EXPECT_THAT(refusal("{type: large_kernel}", host), HasSubstr("rotary"));
  host.position = "none";
  host.dropout = 0.1;
  EXPECT_THAT(refusal("{type: large_kernel}", host), HasSubstr("dropout"));
  host.dropout = 0.0;
  host.causal = true;
  EXPECT_THAT(refusal("{type: large_kernel}", host), HasSubstr("both sides"));
  const auto attention = made(4);
  const Tensor x = random_tensor({1, 12, 4}, "x", DType::f64);
  EXPECT_THROW(attention->forward(x, {}), Error);
  EXPECT_THROW(attention->forward(x, {.grid = {3, 5}}), Error);
  EXPECT_THROW(attention->forward(
                   x, {.lengths = Tensor::from(std::vector<int64_t>{3}, {1}), .grid = {3, 4}}),
               Error);
}

struct Published {
  const char* preset;
  int64_t parameters;
  double gflops;     // multiply-adds from the layers' formulas at 224 x 224
  double published;  // the README's, rounded; 0: none
};

// Parameters follow from the official code; its README rounds the first four to 4.1, 13.9, 26.6 and
// 44.8 M.
TEST(Van, ParametersAndOperationsAsPublished) {
  const Published all[] = {
      {"van-b0", 4105800, 0.864, 0.9},   {"van-b1", 13861800, 2.495, 2.5},
      {"van-b2", 26578472, 4.993, 5.0},  {"van-b3", 44765608, 8.925, 9.0},
      {"van-b4", 60283176, 12.14, 0.0},  {"van-b5", 89967688, 17.13, 0.0},
      {"van-b6", 199829416, 38.71, 0.0},
  };
  EXPECT_EQ(van_presets().size(), std::size(all));
  for (const Published& published : all) {
    const auto model =
        find_module("pyramid", "model").make(yaml(fmt::format("{{preset: {}}}", published.preset)));
    EXPECT_EQ(model->parameter_count(), published.parameters) << published.preset;
    const double gflops = static_cast<const Pyramid&>(*model).flops() / 2e9;
    EXPECT_NEAR(gflops, published.gflops, 0.001 * published.gflops) << published.preset;
    // Within 1% of a number that was rounded to 0.1.
    if (published.published == 0.0) continue;
    EXPECT_NEAR(gflops, published.published, 0.05 + 0.01 * published.published) << published.preset;
  }
}

TEST(Van, BlockOfNoScaleIsTheIdentity) {
  const NoGrad no_grad;
  PyramidBlockOptions o;
  o.dim = 4;
  o.heads = 1;
  o.norm = "batch_norm";
  o.mlp_conv = "hidden";
  o.layer_scale = 0.01;
  o.attention = yaml("{type: large_kernel}");
  PyramidBlock block(o);
  block.initialise(1);
  const Tensor x = random_tensor({2, 5, 6, 4}, "x");
  EXPECT_FALSE(bitwise_equal(block.forward(x), x));
  for (const auto& scale : {block.scale1.get(), block.scale2.get()})
    scale->scale = Tensor::zeros({4});
  EXPECT_TRUE(bitwise_equal(block.forward(x), x));
}

TEST(Van, TakesImagesOfAnySize) {
  const NoGrad no_grad;
  const auto model = make_classifier(
      yaml("{type: pyramid, preset: van-b0, depths: [1, 1, 1, 1], dims: [8, 8, 16, 16]}"), 5,
      ClassifierInput::images(193, 161, 3));
  model->initialise(1);
  const Tensor x = random_tensor({2, 193, 161, 3}, "x");
  EXPECT_EQ(model->forward(x).shape(), (Shape{2, 5}));
  const auto maps = static_cast<Pyramid&>(*model).features(x);
  EXPECT_EQ(maps[0].shape(), (Shape{2, 49, 41, 8}));
  EXPECT_EQ(maps[3].shape(), (Shape{2, 7, 6, 16}));
  EXPECT_EQ(make_classifier(model->config())->parameter_count(), model->parameter_count());
}

TEST(Van, GradientsAgreeWithDifferences) {
  EXPECT_EQ(
      gradcheck_module(
          "pyramid", "model",
          yaml("{preset: van-b0, height: 9, width: 8, channels: 2, classes: 3, depths: [1, 1], "
               "dims: [2, 3], heads: [1, 1], mlp_ratios: [2, 1], patch: 2, drop_path: 0.3}"),
          {{"x", random_tensor({2, 9, 8, 2}, "x", DType::f64)}}, true),
      "");
}

}  // namespace
}  // namespace heed::nn
