#include "kernels/softmax/softmax.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/views.h"
#include "tests/samples.h"

namespace heed::kernels {
namespace {

using testing::normal;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Along the last dimension, in f64.
std::vector<double> oracle(const Tensor& x, bool log) {
  auto values = x.to_vector<double>();
  const size_t n = static_cast<size_t>(x.size(-1));
  for (size_t at = 0; at < values.size(); at += n) {
    const auto begin = values.begin() + static_cast<ptrdiff_t>(at),
               end = begin + static_cast<ptrdiff_t>(n);
    const double largest = *std::max_element(begin, end);
    double sum = 0;
    for (auto v = begin; v != end; ++v) sum += std::exp(*v - largest);
    for (auto v = begin; v != end; ++v) {
      *v = log ? *v - largest - std::log(sum) : std::exp(*v - largest) / sum;
    }
  }
  return values;
}

TEST(Softmax, EqualsTheF64FormulaAlongEveryDimension) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    for (const Shape& shape :
         {Shape{1, 1, 1}, Shape{3, 5, 7}, Shape{2, 33, 19}, Shape{5, 1, 301}}) {
      const Tensor x = normal(shape, "x", dtype);
      for (int dim = 0; dim < 3; ++dim) {
        const Tensor last = views::transpose(x, dim, -1);  // a strided view
        for (const bool log : {false, true}) {
          const auto expected = oracle(last, log);
          const Tensor y = log ? log_softmax(x, dim) : softmax(x, dim);
          const auto values = views::transpose(y, dim, -1).to_vector<double>();
          // exp is good to 2 ulp and its argument to 1 ulp of at most 16; sums of n positive terms
          // add n roundings at most.
          const double u = dtype == DType::f64 ? 0x1p-53 : 0x1p-24;
          const double relative =
              u * (32.0 + double(shape[dim])) + (dtype == DType::bf16 ? 0x1p-8 : 0);
          for (size_t i = 0; i < values.size(); ++i) {
            const double magnitude = std::abs(expected[i]);
            ASSERT_NEAR(values[i], expected[i], relative * (log ? 1 + magnitude : magnitude))
                << name_of(dtype) << shape.to_string() << " dim " << dim << " element " << i;
          }
          const Tensor strided = log ? log_softmax(last, -1) : softmax(last, -1);
          ASSERT_EQ(strided.shape(), last.shape());
        }
      }
    }
  }
}

TEST(Softmax, MaskedAndExtremeEntries) {
  const Tensor x = Tensor::from<float>({-kInfinity, 0, 0, 1e30f, 1e30f, -1e30f}, {2, 3});
  EXPECT_EQ(softmax(x, 1).to_vector<float>(), (std::vector<float>{0, 0.5f, 0.5f, 0.5f, 0.5f, 0}));
  const Tensor nan = Tensor::from<float>({NAN, 1, 2, 3}, {1, 4});
  for (const float y : softmax(nan, 1).to_vector<float>()) EXPECT_TRUE(std::isnan(y));
}

}  // namespace
}  // namespace heed::kernels
