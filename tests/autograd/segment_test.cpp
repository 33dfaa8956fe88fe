#include "autograd/ops/segment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/gradcheck.h"
#include "core/parallel.h"
#include "kernels/index/segments.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::integers;
using testing::normal;

TEST(Segment, Gradients) {
  for (const Shape& shape : {Shape{7}, Shape{11, 3}, Shape{1, 2, 5}, Shape{0, 3}}) {
    for (const int64_t segments : {1, 4}) {
      const Tensor ids = integers({shape[0]}, segments, "ids");
      const auto check = [&](auto op) {
        EXPECT_EQ(gradcheck([&](const std::vector<Tensor>& in) { return op(in[0]); },
                            {normal(shape, "x")}),
                  "");
      };
      check([&](const Tensor& x) { return segment_sum(x, ids, segments); });
      check([&](const Tensor& x) { return segment_mean(x, ids, segments); });
      check([&](const Tensor& x) { return segment_max(x, ids, segments); });
      check([&](const Tensor& x) { return segment_softmax(x, ids, segments); });
    }
  }
}

TEST(Segment, ReducesGroupsInAnyOrder) {
  const Tensor x = Tensor::from<float>({1, 10, 2, 20, 3, 5, 4, 40}, {4, 2});
  const Tensor ids = Tensor::from<int64_t>({2, 0, 2, 0}, {4});
  EXPECT_EQ(segment_sum(x, ids, 3).to_vector<float>(), (std::vector<float>{6, 60, 0, 0, 4, 15}));
  EXPECT_EQ(segment_mean(x, ids, 3).to_vector<float>(), (std::vector<float>{3, 30, 0, 0, 2, 7.5f}));
  EXPECT_EQ(segment_max(x, ids, 3, -1).to_vector<float>(),
            (std::vector<float>{4, 40, -1, -1, 3, 10}));
  const std::vector<float> p = segment_softmax(x, ids, 3).to_vector<float>();
  EXPECT_NEAR(p[0] + p[4], 1, 1e-6);
  EXPECT_NEAR(p[0], 1 / (1 + std::exp(2.0)), 1e-6);
  EXPECT_THROW(segment_sum(x, ids, 2), Error);
  EXPECT_THROW(segment_sum(x, integers({3}, 3, "i"), 3), Error);
}

TEST(Segment, OffsetsBecomeIds) {
  EXPECT_EQ(kernels::segment_ids(Tensor::from<int64_t>({0, 2, 2, 5}, {4})).to_vector<int64_t>(),
            (std::vector<int64_t>{0, 0, 2, 2, 2}));
  EXPECT_EQ(kernels::segment_ids(Tensor::from<int64_t>({0}, {1})).numel(), 0);
  EXPECT_THROW(kernels::segment_ids(Tensor::from<int64_t>({1, 2}, {2})), Error);
  EXPECT_THROW(kernels::segment_ids(Tensor::from<int64_t>({0, 3, 2}, {3})), Error);
}

// Narrow types against f64, on one to three threads.
TEST(Segment, NarrowTypesAgreeWithF64) {
  const int64_t rows = 2003, segments = 90;
  const Tensor ids = integers({rows}, segments, "ids");
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Tensor x = normal({rows, 21}, "x", dtype);
    const Tensor wide = Tensor::from(x.to_vector<double>(), x.shape());
    const int before = thread_count();
    std::vector<std::vector<double>> results;
    for (const int threads : {1, 2, 3}) {
      set_thread_count(threads);
      std::vector<double> all;
      for (const Tensor& t : {segment_sum(x, ids, segments), segment_mean(x, ids, segments),
                              segment_max(x, ids, segments), segment_softmax(x, ids, segments)}) {
        const auto more = t.to_vector<double>();
        all.insert(all.end(), more.begin(), more.end());
      }
      results.push_back(all);
    }
    set_thread_count(before);
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
    std::vector<double> expected;
    for (const Tensor& t :
         {segment_sum(wide, ids, segments), segment_mean(wide, ids, segments),
          segment_max(wide, ids, segments), segment_softmax(wide, ids, segments)}) {
      const auto more = t.to_vector<double>();
      expected.insert(expected.end(), more.begin(), more.end());
    }
    // Below 64 rows a segment, magnitudes below 6: 64 roundings of sums below 64.
    const double rounding = dtype == DType::bf16 ? 0x1p-8 : 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(results[0][i], expected[i], 64 * 64 * 0x1p-24 + rounding * std::abs(expected[i]));
    }
  }
}

}  // namespace
}  // namespace heed
