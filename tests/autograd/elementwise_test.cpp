#include "autograd/ops/elementwise.h"

#include <functional>
#include <limits>

#include "autograd/ops/reduce.h"
#include "tests/autograd/testing.h"

namespace heed {
namespace {

using testing::expect_gradients;
using testing::odd_shapes;
using testing::strided;
using testing::uniform;
using Inputs = std::vector<Tensor>;

struct UnaryCase {
  const char* name;
  Tensor (*op)(const Tensor&);
  double low, high;  // domain
};

class UnaryOps : public ::testing::TestWithParam<UnaryCase> {};

TEST_P(UnaryOps, Gradient) {
  const auto [name, op, low, high] = GetParam();
  const auto fn = [op = op](const Inputs& x) { return op(x[0]); };
  for (const Shape& shape : odd_shapes()) {
    expect_gradients(fn, {uniform(shape, low, high)});
    expect_gradients(fn, {strided(shape, low, high)});
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, UnaryOps,
    ::testing::Values(UnaryCase{"neg", neg, -2, 2}, UnaryCase{"exp", exp, -2, 2},
                      UnaryCase{"log", log, 0.2, 3}, UnaryCase{"sqrt", sqrt, 0.2, 3},
                      UnaryCase{"rsqrt", rsqrt, 0.2, 3}, UnaryCase{"square", square, -2, 2},
                      UnaryCase{"tanh", tanh, -3, 3}, UnaryCase{"sigmoid", sigmoid, -3, 3},
                      UnaryCase{"relu", relu, -2, 2}, UnaryCase{"silu", silu, -4, 4},
                      UnaryCase{"gelu", gelu, -4, 4}, UnaryCase{"gelu_tanh", gelu_tanh, -4, 4},
                      UnaryCase{"abs", abs, -2, 2}, UnaryCase{"sin", sin, -4, 4},
                      UnaryCase{"cos", cos, -4, 4}, UnaryCase{"expm1", expm1, -2, 2},
                      UnaryCase{"log1p", log1p, -0.8, 2}, UnaryCase{"erf", erf, -3, 3},
                      UnaryCase{"relu6", relu6, -2, 8},
                      UnaryCase{"hard_sigmoid", hard_sigmoid, -5, 5},
                      UnaryCase{"hard_swish", hard_swish, -5, 5}),
    [](const auto& param_info) { return param_info.param.name; });

struct BinaryCase {
  const char* name;
  Tensor (*op)(const Tensor&, const Tensor&);
};

class BinaryOps : public ::testing::TestWithParam<BinaryCase> {};

TEST_P(BinaryOps, GradientWithBroadcasting) {
  const auto fn = [op = GetParam().op](const Inputs& x) { return op(x[0], x[1]); };
  const std::vector<std::pair<Shape, Shape>> shapes = {
      {{}, {}},      {{1}, {}},           {{3, 5}, {3, 5}},    {{3, 5}, {}},
      {{}, {3, 5}},  {{3, 5}, {5}},       {{5}, {3, 5}},       {{3, 1}, {1, 5}},
      {{0, 3}, {3}}, {{2, 1, 3}, {4, 1}}, {{1, 1}, {2, 3, 2}}, {{2, 3, 1, 5}, {3, 7, 1}},
  };
  for (const auto& [a, b] : shapes) {
    expect_gradients(fn, {uniform(a, 0.3, 2, 1), uniform(b, 0.3, 2, 2)});
    expect_gradients(fn, {strided(a, 0.3, 2, 1), uniform(b, 0.3, 2, 2)});
    expect_gradients(fn, {uniform(a, 0.3, 2, 1), strided(b, 0.3, 2, 2)});
  }
  EXPECT_THROW(GetParam().op(uniform({2, 3}), uniform({2})), Error);
}

TEST_P(BinaryOps, GradientOfATensorWithItself) {
  expect_gradients([op = GetParam().op](const Inputs& x) { return op(x[0], x[0]); },
                   {uniform({3, 5}, 0.3, 2)});
}

INSTANTIATE_TEST_SUITE_P(All, BinaryOps,
                         ::testing::Values(BinaryCase{"add", add}, BinaryCase{"sub", sub},
                                           BinaryCase{"mul", mul}, BinaryCase{"div", div},
                                           BinaryCase{"pow", pow}, BinaryCase{"maximum", maximum},
                                           BinaryCase{"minimum", minimum}),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(ElementwiseOps, ScalarOperands) {
  expect_gradients([](const Inputs& x) { return add(mul(x[0], -1.5), 0.25); }, {uniform({3, 5})});
  const Tensor x = uniform({4});
  EXPECT_EQ(((x - 1.0) / 2.0).to_vector<double>(), mul(add(x, -1.0), 0.5).to_vector<double>());
}

TEST(ElementwiseOps, FunctionsWithParameters) {
  for (const Shape& shape : odd_shapes()) {
    const Tensor x = strided(shape, -3, 3), positive = uniform(shape, 0.3, 3);
    expect_gradients([](const Inputs& in) { return softplus(in[0], 1.5); }, {x});
    expect_gradients([](const Inputs& in) { return softplus(in[0], 2.0, 1.0); }, {x});
    expect_gradients([](const Inputs& in) { return elu(in[0], 0.7); }, {x});
    expect_gradients([](const Inputs& in) { return leaky_relu(in[0], 0.1); }, {x});
    expect_gradients([](const Inputs& in) { return clamp(in[0], -1.0, 1.5); }, {x});
    expect_gradients([](const Inputs& in) { return pow(in[0], 3.0); }, {x});
    expect_gradients([](const Inputs& in) { return pow(in[0], 2.0); }, {x});
    expect_gradients([](const Inputs& in) { return pow(in[0], -0.7); }, {positive});
  }
  EXPECT_THROW(clamp(uniform({2}), 1, 0), Error);
  EXPECT_THROW(softplus(uniform({2}), 0), Error);
}

std::vector<double> slope(const std::function<Tensor(const Tensor&)>& fn, std::vector<double> at) {
  Tensor x = Tensor::from(at, {static_cast<int64_t>(at.size())});
  require_grad(x);
  backward(sum(fn(x)));
  return grad(x).to_vector<double>();
}

TEST(ElementwiseOps, SlopesAtBends) {
  using Values = std::vector<double>;
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(slope(static_cast<Tensor (*)(const Tensor&)>(abs), {-1, 0, 2}), (Values{-1, 0, 1}));
  EXPECT_EQ(slope(relu6, {0, 3, 6}), (Values{0, 1, 0}));
  EXPECT_EQ(slope([](const Tensor& x) { return clamp(x, -1, 1); }, {-2, -1, 1, 2}),
            (Values{0, 1, 1, 0}));
  EXPECT_EQ(slope([=](const Tensor& x) { return clamp(x, -inf, 1); }, {-2, 3}), (Values{1, 0}));
  EXPECT_EQ(slope([](const Tensor& x) { return pow(x, 0.0); }, {0, 2}), (Values{0, 0}));
  EXPECT_EQ(slope([](const Tensor& x) { return pow(x, 2.0); }, {0, -3}), (Values{0, -6}));
  // the first of equals has the whole gradient
  EXPECT_EQ(slope([](const Tensor& x) { return maximum(x, x.detach()); }, {1}), (Values{1}));
  EXPECT_EQ(slope([](const Tensor& x) { return minimum(x.detach(), x); }, {1}), (Values{0}));
}

TEST(ElementwiseOps, Sign) {
  Tensor x = Tensor::from<float>({-2.0f, 0.0f, 3.0f}, {3});
  require_grad(x);
  EXPECT_EQ(sign(x).to_vector<float>(), (std::vector<float>{-1, 0, 1}));
  EXPECT_FALSE(requires_grad(sign(x)));
}

TEST(ElementwiseOps, SwiGlu) {
  const auto fn = [](const Inputs& x) { return swiglu(x[0], x[1]); };
  for (const Shape& shape : odd_shapes()) {
    expect_gradients(fn, {uniform(shape, -3, 3, 1), uniform(shape, -3, 3, 2)});
    expect_gradients(fn, {strided(shape, -3, 3, 1), strided(shape, -3, 3, 2)});
  }
  const auto packed = [](const Inputs& x) { return swiglu_packed(x[0]); };
  expect_gradients(packed, {uniform({2})});
  expect_gradients(packed, {uniform({3, 14})});
  expect_gradients(packed, {strided({2, 3, 34})});
  expect_gradients(packed, {uniform({0, 4})});
  EXPECT_THROW(swiglu_packed(uniform({3, 5})), Error);
  EXPECT_THROW(swiglu(uniform({3}), uniform({4})), Error);
}

TEST(ElementwiseOps, Dropout) {
  const RandomKey key{1, 2, 3};
  expect_gradients([&](const Inputs& x) { return dropout(x[0], 0.4, key); }, {uniform({7, 5})});
  expect_gradients([&](const Inputs& x) { return dropout(x[0], 0.4, key); }, {strided({7, 5})});
  EXPECT_THROW(dropout(uniform({2}), 1.0, key), Error);
}

TEST(ElementwiseOps, CastKeepsTheChain) {
  Tensor x = Tensor::from<float>({1.5f, -2.25f}, {2});
  require_grad(x);
  const Tensor y = cast(x, DType::bf16);
  EXPECT_EQ(y.dtype(), DType::bf16);
  backward(sum(mul(y, y)));
  EXPECT_EQ(grad(x).dtype(), DType::f32);
  EXPECT_EQ(grad(x).to_vector<float>(), (std::vector<float>{3.0f, -4.5f}));
  EXPECT_TRUE(cast(x, DType::f32).is_same(x));
}

TEST(ElementwiseOps, StopGradient) {
  Tensor x = uniform({3});
  require_grad(x);
  EXPECT_FALSE(requires_grad(stop_gradient(x)));
  backward(sum(mul(x, stop_gradient(x))));  // as if the second factor were a constant
  EXPECT_EQ(grad(x).to_vector<double>(), x.to_vector<double>());
}

TEST(ElementwiseOps, TypesPromote) {
  const Tensor f32 = Tensor::full({2}, 1.0, DType::f32), f64 = Tensor::full({2}, 1.0, DType::f64);
  const Tensor bf16 = Tensor::full({2}, 1.0, DType::bf16);
  EXPECT_EQ(add(bf16, f32).dtype(), DType::f32);
  EXPECT_EQ(add(f64, bf16).dtype(), DType::f64);
  EXPECT_EQ(add(bf16, Tensor::scalar(2.0)).dtype(), DType::bf16);  // a number never widens
  EXPECT_EQ(add(Tensor::scalar(2.0), f32).dtype(), DType::f32);
  EXPECT_EQ(add(Tensor::scalar(2.0f), 1.0).dtype(), DType::f32);
  EXPECT_THROW(add(f32, Tensor::full({2}, 1, DType::i64)), Error);
  // and the gradients come back in the operands' own dtypes
  Tensor a = bf16.detach(), b = f32.detach(), s = Tensor::scalar(3.0);
  require_grad(a), require_grad(b), require_grad(s);
  backward(sum(mul(add(a, b), s)));
  EXPECT_EQ(grad(a).dtype(), DType::bf16);
  EXPECT_EQ(grad(b).dtype(), DType::f32);
  EXPECT_EQ(grad(s).dtype(), DType::f64);
  EXPECT_EQ(grad(s).item(), 4.0);
}

}  // namespace
}  // namespace heed
