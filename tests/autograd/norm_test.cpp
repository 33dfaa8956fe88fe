#include "autograd/ops/norm.h"

#include <gtest/gtest.h>

#include "autograd/gradcheck.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::normal;

class NormOfWidth : public ::testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Odd, NormOfWidth, ::testing::Values(1, 2, 3, 7, 8, 17, 37));

TEST_P(NormOfWidth, LayerNormGradients) {
  const int64_t c = GetParam();
  EXPECT_EQ(
      gradcheck([](const std::vector<Tensor>& in) { return layer_norm(in[0], in[1], in[2], 1e-2); },
                {normal({2, 3, c}, "x"), normal({c}, "w"), normal({c}, "b")}),
      "");
  EXPECT_EQ(gradcheck([](const std::vector<Tensor>& in) { return layer_norm(in[0], {}, {}, 1e-2); },
                      {normal({5, c}, "x")}),
            "");
}

TEST_P(NormOfWidth, RmsNormGradients) {
  const int64_t c = GetParam();
  EXPECT_EQ(gradcheck([](const std::vector<Tensor>& in) { return rms_norm(in[0], in[1]); },
                      {normal({2, 3, c}, "x"), normal({c}, "w")}),
            "");
  EXPECT_EQ(gradcheck([](const std::vector<Tensor>& in) { return rms_norm(in[0], {}); },
                      {normal({c}, "x")}),
            "");
}

TEST_P(NormOfWidth, FusedGradientsOfBothOutputs) {
  const int64_t c = GetParam();
  const std::vector<Tensor> inputs = {normal({4, c}, "r"), normal({4, c}, "x"), normal({c}, "w"),
                                      normal({c}, "b")};
  EXPECT_EQ(gradcheck(
                [](const std::vector<Tensor>& in) {
                  const auto [s, y] = add_layer_norm(in[0], in[1], in[2], in[3], 1e-2);
                  return std::vector<Tensor>{s, y};
                },
                inputs),
            "");
  EXPECT_EQ(gradcheck(
                [](const std::vector<Tensor>& in) {
                  const auto [s, y] = add_rms_norm(in[0], in[1], in[2]);
                  return std::vector<Tensor>{s, y};
                },
                {inputs[0], inputs[1], inputs[2]}),
            "");
}

TEST(AddLayerNorm, OneUnusedOutputIsAZeroGradient) {
  const std::vector<Tensor> inputs = {normal({4, 5}, "r"), normal({4, 5}, "x"), normal({5}, "w"),
                                      normal({5}, "b")};
  for (const bool first : {true, false}) {
    EXPECT_EQ(gradcheck(
                  [first](const std::vector<Tensor>& in) {
                    const auto [s, y] = add_layer_norm(in[0], in[1], in[2], in[3]);
                    return first ? s : y;
                  },
                  inputs),
              "");
  }
}

// The gradient of both addends is one tensor: adding another one into the first must leave the
// second alone, whichever is accumulated further.
TEST(AddLayerNorm, SharedGradientSurvivesAccumulation) {
  const Tensor w = normal({5}, "w"), b = normal({5}, "b");
  EXPECT_EQ(gradcheck(
                [](const std::vector<Tensor>& in) {
                  const auto [r, unused] = add_rms_norm(in[0], in[1], in[2]);
                  const auto [x, unused2] = add_rms_norm(in[1], in[0], in[2]);
                  const auto [s1, y1] = add_layer_norm(r, x, in[2], in[3]);
                  const auto [s2, y2] = add_layer_norm(s1, r, in[2], in[3]);
                  const auto [s3, y3] = add_layer_norm(s2, x, in[2], in[3]);
                  return std::vector<Tensor>{s1, s2, y2, s3, y3};
                },
                {normal({4, 5}, "r"), normal({4, 5}, "x"), w, b}),
            "");
}

TEST(LayerNorm, Bf16ActivationsBesideF32Weights) {
  Tensor x = normal({6, 33}, "x", DType::bf16), w = normal({33}, "w", DType::f32);
  require_grad(x);
  require_grad(w);
  const Tensor y = layer_norm(x, w, {});
  EXPECT_EQ(y.dtype(), DType::bf16);
  backward(y, Tensor::full(y.shape(), 1, DType::bf16));
  EXPECT_EQ(grad(x).dtype(), DType::bf16);
  EXPECT_EQ(grad(w).dtype(), DType::f32);
}

TEST(LayerNorm, NamesWhatDoesNotFit) {
  const Tensor x = normal({2, 3}, "x");
  EXPECT_THROW(layer_norm(x, normal({4}, "w"), {}), Error);
  EXPECT_THROW(layer_norm(Tensor::scalar(1.0), {}, {}), Error);
  EXPECT_THROW(add_layer_norm(normal({3, 2}, "r"), x, {}, {}), Error);
  EXPECT_THROW(rms_norm(testing::integers({2, 3}, 5, "i"), {}), Error);
}

}  // namespace
}  // namespace heed
