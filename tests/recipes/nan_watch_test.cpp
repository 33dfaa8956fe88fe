#include "recipes/engine/nan_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"

namespace heed::recipes {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct TwoWeights : nn::Module {
  TwoWeights(std::vector<float> first, std::vector<float> second)
      : a(Tensor::from(first, {2})), b(Tensor::from(second, {2})) {
    parameters({{"a", a, {}}, {"b", b, {}}});
  }
  Tensor a, b;
};

TEST(NanWatch, NamesTheFirstBadOutputAndTheFirstBadGradient) {
  TwoWeights module({1, 2}, {-1, 4});
  const std::string text = explain_nonfinite(
      module, [&] { backward(sum(add(mul(module.a, module.a), sqrt(module.b)))); });
  EXPECT_THAT(text, AllOf(HasSubstr("an output of 'sqrt'"), HasSubstr("f32[2]"),
                          HasSubstr("1 NaN and 0 infinite of 2"), HasSubstr("gradient is 'b'")));
}

TEST(NanWatch, NamesABadGradientOfAGoodLoss) {
  TwoWeights module({1, 2}, {0, 4});
  const std::string text =
      explain_nonfinite(module, [&] { backward(sum(sqrt(module.b))); });  // 1 / (2 sqrt(0))
  EXPECT_THAT(text, AllOf(HasSubstr("a gradient of 'sqrt'"), HasSubstr("0 NaN and 1 infinite"),
                          HasSubstr("gradient is 'b'")));
}

TEST(NanWatch, NamesAParameterThatWasBadBefore) {
  TwoWeights module({1, std::nanf("")}, {1, 4});
  bool ran = false;
  EXPECT_EQ(explain_nonfinite(module, [&] { ran = true; }),
            "the parameter 'a' held a value that is not finite before the step");
  EXPECT_FALSE(ran);
}

TEST(NanWatch, ClearsGradientsAndStopsWatching) {
  TwoWeights module({1, 2}, {-1, 4});
  const auto step = [&] { backward(sum(sqrt(module.b))); };
  explain_nonfinite(module, step);
  EXPECT_FALSE(grad(module.b).defined());
  const std::string again = explain_nonfinite(module, [] {});
  EXPECT_THAT(again, Not(HasSubstr("sqrt")));
}

TEST(AllFinite, LooksAtEveryElementOfEveryFloatingType) {
  std::vector<double> values(1000, 1.0);
  EXPECT_TRUE(all_finite(Tensor::from(values, {1000})));
  values[999] = std::numeric_limits<double>::infinity();
  EXPECT_FALSE(all_finite(Tensor::from(values, {1000})));
  EXPECT_FALSE(all_finite(Tensor::full({3}, std::nan(""), DType::bf16)));
  EXPECT_TRUE(all_finite(Tensor::zeros({3}, DType::i64)));
  EXPECT_TRUE(all_finite(Tensor::full({1}, 1e300, DType::f64)));  // beyond f32, but finite
}

}  // namespace
}  // namespace heed::recipes
