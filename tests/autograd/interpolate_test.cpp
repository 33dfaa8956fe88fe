#include "autograd/ops/interpolate.h"

#include "kernels/copy/copy.h"
#include "tests/autograd/testing.h"

namespace heed {
namespace {

using testing::expect_gradients;
using testing::strided;
using testing::uniform;
using Inputs = std::vector<Tensor>;
using Values = std::vector<double>;

constexpr Interpolation kModes[] = {Interpolation::nearest, Interpolation::linear,
                                    Interpolation::cubic};

TEST(Interpolate, Gradients) {
  for (const Interpolation mode : kModes) {
    const auto to = [mode](const Shape& size) {
      return [mode, size](const Inputs& x) { return interpolate(x[0], size, mode); };
    };
    expect_gradients(to({7}), {strided({2, 5, 3})});
    expect_gradients(to({3, 9}), {strided({1, 5, 4, 3})});
    expect_gradients(to({2, 1, 3}), {uniform({1, 3, 2, 2, 1})});
  }
  EXPECT_THROW(interpolate(uniform({2, 3}), {1}), Error);
  EXPECT_THROW(interpolate(uniform({1, 2, 3}), {0}), Error);
}

// torch.nn.functional.interpolate of [[1, 2, 4], [3, 0, 1]] in f64, align_corners=False.
TEST(Interpolate, EqualsPyTorch) {
  const Tensor x = Tensor::from<double>({1, 2, 4, 3, 0, 1}, {1, 2, 3, 1});
  const auto expect = [&x](Interpolation mode, const Shape& size, const Values& want) {
    const Values got = interpolate(x, size, mode).to_vector<double>();
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-12) << i;
  };
  expect(Interpolation::nearest, {3, 5}, {1, 1, 2, 2, 4, 1, 1, 2, 2, 4, 3, 3, 0, 0, 1});
  expect(Interpolation::nearest, {1, 2}, {1, 2});
  expect(Interpolation::linear, {3, 5},
         {1, 1.4, 2, 3.2, 4, 2, 1.6, 1, 1.9, 2.5, 3, 1.8, 0, 0.6, 1});
  expect(Interpolation::linear, {1, 2}, {1.75, 2.125});
  expect(Interpolation::cubic, {3, 5},
         {0.6970555555555558, 1.198861111111109, 2.173611111111111, 3.547736111111109,
          4.460750000000001, 2.095999999999999, 1.5039999999999987, 1.0000000000000002,
          1.8459999999999996, 2.6440000000000015, 3.4949444444444433, 1.8091388888888889,
          -0.1736111111111116, 0.14426388888888886, 0.8272499999999996});
  expect(Interpolation::cubic, {1, 2}, {1.720703125, 2.125});
}

TEST(Interpolate, EveryDtypeAndManyChannels) {
  for (const int64_t channels : {1, 17, 70}) {
    const Tensor exact = uniform({2, 5, 6, channels});
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const Tensor x = kernels::cast(exact, dtype);
      const Tensor rounded = kernels::cast(x, DType::f64);
      for (const Interpolation mode : kModes) {
        const auto got = interpolate(x, {8, 3}, mode).to_vector<double>();
        const auto want = interpolate(rounded, {8, 3}, mode).to_vector<double>();
        // sixteen products in f32 of values below 2 with weights that add up to less than 2
        const double eps = 16 * 4 * 0x1p-24 + (dtype == DType::bf16 ? 4 * 0x1p-8 : 0);
        for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], eps);
      }
    }
  }
}

TEST(Interpolate, TheSameSizeChangesNothing) {
  const Tensor x = uniform({1, 4, 5, 3});
  for (const Interpolation mode : kModes) {
    const auto got = interpolate(x, {4, 5}, mode).to_vector<double>();
    const auto want = x.to_vector<double>();
    for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-15);
  }
}

}  // namespace
}  // namespace heed
