// Scans against the same sums in f64, written out for each element.
#include "kernels/scan/scan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/parallel.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "tests/samples.h"

namespace heed::kernels {
namespace {

// Elements of x [A, N, B] along the middle dimension.
template <class Fn>
void for_each_slice(const Tensor& x, Fn&& fn) {
  for (int64_t a = 0; a < x.size(0); ++a) {
    for (int64_t b = 0; b < x.size(2); ++b) {
      fn([&x, a, b](const Tensor& from) {
        return views::select(views::select(from, 0, a), 1, b).to_vector<double>();
      });
    }
  }
}

// One rounding to the dtype; running values are f64.
double eps_of(DType dtype) {
  return dtype == DType::f64 ? 1e-13 : dtype == DType::f32 ? 0x1p-24 : 0x1.01p-8;
}

TEST(Scan, SumsAndMeansOfEveryWindow) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    for (const Shape& shape : {Shape{2, 13, 3}, Shape{1, 40, 1}, Shape{1, 9, 130}}) {
      const Tensor x = testing::normal(shape, "x", dtype);
      for (const int64_t window : {1, 2, 5, 8, 13, 1000}) {
        for (const bool mean : {false, true}) {
          const Tensor y = moving_sum(x, 1, window, mean);
          for_each_slice(x, [&](auto slice) {
            const auto in = slice(x), out = slice(y);
            for (size_t i = 0; i < in.size(); ++i) {
              double sum = 0;
              int64_t count = 0;
              for (size_t j = 0; j <= i; ++j) {
                if (static_cast<int64_t>(i - j) >= window) continue;
                sum += in[j];
                ++count;
              }
              const double exact = mean ? sum / static_cast<double>(count) : sum;
              ASSERT_NEAR(out[i], exact, eps_of(dtype) * std::abs(exact) + 1e-13);
            }
          });
        }
      }
    }
  }
}

TEST(Scan, AnOutlierLeavesTheWindowWithoutATrace) {
  const Tensor x = Tensor::from<float>({1, 1e30f, 2, 3, 4, 5}, {6});
  EXPECT_EQ(moving_sum(x, 0, 2, false).to_vector<float>(),
            (std::vector<float>{1, 1e30f, 1e30f, 5, 7, 9}));
}

TEST(Scan, CumulativeSumMaxAndLogSumExp) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    const Tensor x = testing::normal({2, 33, 5}, "x", dtype);
    const Tensor sum = cumulative_sum(x, 1), lse = log_cumulative_sum_exp(x, -2);
    const auto [largest, index] = cumulative_max(x, 1);
    for_each_slice(x, [&, values = largest, at = index](auto slice) {
      const auto in = slice(x), s = slice(sum), l = slice(lse), m = slice(values), i = slice(at);
      double total = 0, exponentials = 0, best = in[0];
      for (size_t k = 0; k < in.size(); ++k) {
        total += in[k];
        exponentials += std::exp(in[k]);
        best = std::max(best, in[k]);
        const double exact = std::log(exponentials);
        ASSERT_NEAR(s[k], total, eps_of(dtype) * std::abs(total) + 1e-13);
        ASSERT_NEAR(l[k], exact, eps_of(dtype) * std::abs(exact) + 1e-13);
        ASSERT_EQ(m[k], best);
        ASSERT_EQ(in[static_cast<size_t>(i[k])], best);
      }
    });
  }
}

TEST(Scan, ResultsDoNotDependOnTheThreadCount) {
  const Tensor x = testing::normal({3, 257, 200}, "x", DType::f32);
  const int threads = thread_count();
  set_thread_count(1);
  const auto sum = cumulative_sum(x, 1).to_vector<float>();
  const auto moving = moving_sum(x, 1, 7, true).to_vector<float>();
  set_thread_count(3);
  EXPECT_EQ(cumulative_sum(x, 1).to_vector<float>(), sum);
  EXPECT_EQ(moving_sum(x, 1, 7, true).to_vector<float>(), moving);
  set_thread_count(threads);
}

}  // namespace
}  // namespace heed::kernels
