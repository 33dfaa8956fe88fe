#include "autograd/ops/matmul.h"

#include <gtest/gtest.h>

#include "autograd/gradcheck.h"
#include "core/views.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::normal;
using Tensors = std::vector<Tensor>;

TEST(Matmul, Gradcheck) {
  const std::vector<std::pair<Shape, Shape>> cases = {
      {{1, 1}, {1, 1}},       {{3, 5}, {5, 2}},
      {{2, 3, 5}, {2, 5, 7}}, {{2, 3, 5}, {5, 7}},
      {{3, 5}, {2, 5, 7}},    {{2, 1, 3, 4}, {5, 4, 2}},
      {{1, 3, 4}, {6, 4, 1}}, {{4, 2, 3, 5}, {4, 1, 5, 2}},
  };
  for (const auto& [a, b] : cases) {
    EXPECT_EQ(gradcheck([](const Tensors& x) { return matmul(x[0], x[1]); },
                        {normal(a, "1"), normal(b, "2")}),
              "")
        << a.to_string() << " x " << b.to_string();
  }
}

TEST(Matmul, GradcheckThroughTransposedViews) {
  const Tensor a = views::transpose(normal({5, 3}, "3"), 0, 1), b = normal({5, 4}, "4");
  EXPECT_EQ(gradcheck([](const Tensors& x) { return matmul(x[0], x[1]); }, {a, b}), "");
}

TEST(Linear, Gradcheck) {
  for (const Activation activation : {Activation::none, Activation::relu, Activation::gelu,
                                      Activation::gelu_tanh, Activation::silu}) {
    for (const Shape& x : {Shape{1, 1}, Shape{7, 3}, Shape{2, 3, 5}, Shape{5}}) {
      const int64_t inputs = x[-1];
      EXPECT_EQ(gradcheck([&](const Tensors& t) { return linear(t[0], t[1], t[2], activation); },
                          {normal(x, "5"), normal({4, inputs}, "6"), normal({4}, "7")}),
                "");
      EXPECT_EQ(gradcheck([&](const Tensors& t) { return linear(t[0], t[1], {}, activation); },
                          {normal(x, "5"), normal({4, inputs}, "6")}),
                "");
    }
  }
}

TEST(Linear, FrozenWeightPassesTheGradientThrough) {
  Tensor x = normal({3, 4}, "8");
  const Tensor weight = normal({2, 4}, "9");
  require_grad(x);
  backward(linear(x, weight), Tensor::full({3, 2}, 1.0, DType::f64));
  ASSERT_TRUE(grad(x).defined());
  EXPECT_NEAR(grad(x).to_vector<double>()[0],
              weight.to_vector<double>()[0] + weight.to_vector<double>()[4], 1e-15);
}

TEST(Linear, MasterWeightsStayWideUnderBf16Activations) {
  Tensor x = Tensor::full({3, 4}, 0.5, DType::bf16), weight = Tensor::full({2, 4}, 0.25);
  Tensor bias = Tensor::full({2}, 0.125);
  require_grad(weight);
  require_grad(bias);
  require_grad(x);
  const Tensor y = linear(x, weight, bias);
  EXPECT_EQ(y.dtype(), DType::bf16);
  EXPECT_EQ(y.to_vector<float>()[0], 0.625f);
  backward(y, Tensor::full({3, 2}, 1.0, DType::bf16));
  EXPECT_EQ(grad(weight).dtype(), DType::f32);
  EXPECT_EQ(grad(weight).to_vector<float>()[0], 1.5f);
  EXPECT_EQ(grad(bias).to_vector<float>(), (std::vector<float>{3, 3}));
  EXPECT_EQ(grad(x).dtype(), DType::bf16);
}

}  // namespace
}  // namespace heed
