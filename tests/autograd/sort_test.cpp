#include "autograd/ops/sort.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "autograd/gradcheck.h"
#include "core/parallel.h"
#include "core/views.h"
#include "kernels/index/along.h"
#include "kernels/index/sort.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::integers;
using testing::normal;

TEST(Sort, GradientsAlongEveryDimension) {
  for (const Shape& shape : {Shape{3, 4, 5}, Shape{1, 7}, Shape{6}, Shape{2, 0, 3}}) {
    for (int dim = -shape.rank(); dim < shape.rank(); ++dim) {
      for (const bool flag : {false, true}) {
        EXPECT_EQ(
            gradcheck([&](const std::vector<Tensor>& in) { return sort(in[0], dim, flag).first; },
                      {normal(shape, "x")}),
            "");
        EXPECT_EQ(gradcheck(
                      [&](const std::vector<Tensor>& in) {
                        return topk(in[0], (shape[dim] + 1) / 2, dim, flag).first;
                      },
                      {normal(shape, "x")}),
                  "");
      }
    }
  }
}

TEST(Sort, EqualValuesKeepTheirOrderAndNanIsLast) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = Tensor::from<float>({2, nan, 1, 2, -1, 1}, {6});
  EXPECT_EQ(argsort(x).to_vector<int64_t>(), (std::vector<int64_t>{4, 2, 5, 0, 3, 1}));
  EXPECT_EQ(argsort(x, 0, true).to_vector<int64_t>(), (std::vector<int64_t>{1, 0, 3, 2, 5, 4}));
  const auto [values, indices] = topk(x, 3, 0, false);
  EXPECT_EQ(values.to_vector<float>(), (std::vector<float>{-1, 1, 1}));
  EXPECT_EQ(indices.to_vector<int64_t>(), (std::vector<int64_t>{4, 2, 5}));
  EXPECT_EQ(topk(x, 0).first.numel(), 0);
  EXPECT_THROW(topk(x, 7), Error);
  EXPECT_THROW(topk(x, -1), Error);
}

TEST(Sort, WideIntegersKeepTheirDigits) {
  const int64_t big = int64_t{1} << 60;
  const Tensor x = Tensor::from<int64_t>({big + 1, big, big + 2}, {3});
  EXPECT_EQ(argsort(x).to_vector<int64_t>(), (std::vector<int64_t>{1, 0, 2}));
}

// The k first of a full sort, whatever the type, along an inner dimension too.
TEST(TopK, IsThePrefixOfTheSort) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    const Tensor x = normal({5, 301, 3}, "x", dtype);
    for (int dim = 0; dim < 3; ++dim) {
      const int64_t k = (x.size(dim) + 2) / 3;
      const int before = thread_count();
      for (const int threads : {1, 3}) {
        set_thread_count(threads);
        const auto [values, indices] = topk(x, k, dim);
        EXPECT_EQ(values.to_vector<double>(),
                  kernels::gather_along(x, dim, indices, "test").to_vector<double>());
        EXPECT_EQ(indices.to_vector<int64_t>(),
                  views::slice(argsort(x, dim, true), dim, 0, k).to_vector<int64_t>());
      }
      set_thread_count(before);
    }
  }
}

TEST(InvertPermutation, UndoesAnArgsort) {
  const Tensor order = argsort(normal({3, 17}, "x"));
  const Tensor inverse = kernels::invert_permutation(order);
  const auto identity = kernels::gather_along(order, 1, inverse, "test").to_vector<int64_t>();
  for (size_t i = 0; i < identity.size(); ++i) EXPECT_EQ(identity[i], int64_t(i % 17));
  EXPECT_THROW(kernels::invert_permutation(Tensor::from<int64_t>({0, 2, 0}, {3})), Error);
  EXPECT_THROW(kernels::invert_permutation(Tensor::from<int64_t>({0, 3, 1}, {3})), Error);
}

TEST(Counting, BinsAndUniqueValues) {
  const Tensor ids = Tensor::from<int32_t>({3, 1, 3, 0}, {2, 2});
  EXPECT_EQ(kernels::bincount(ids, 5).to_vector<int64_t>(), (std::vector<int64_t>{1, 1, 0, 2, 0}));
  EXPECT_THROW(kernels::bincount(ids, 3), Error);
  const Tensor x = Tensor::from(std::vector<float>{-1, 0, 0.5, 0.99f, 1, 3.9f, 4, 4.1f, NAN}, {9});
  EXPECT_EQ(kernels::histogram(x, 4, 0.0, 4.0).to_vector<int64_t>(),
            (std::vector<int64_t>{3, 1, 0, 2}));
  EXPECT_THROW(kernels::histogram(x, 0, 0.0, 1.0), Error);
  const kernels::Unique u = kernels::unique_with_counts(ids);
  EXPECT_EQ(u.values.to_vector<int64_t>(), (std::vector<int64_t>{0, 1, 3}));
  EXPECT_EQ(u.counts.to_vector<int64_t>(), (std::vector<int64_t>{1, 1, 2}));
  EXPECT_EQ(u.inverse.to_vector<int64_t>(), (std::vector<int64_t>{2, 1, 2, 0}));
  EXPECT_EQ(u.inverse.shape(), ids.shape());
  EXPECT_EQ(kernels::unique_with_counts(Tensor::zeros({0})).values.numel(), 0);
}

TEST(SearchSorted, CountsWhatIsBelow) {
  const Tensor sorted = Tensor::from<float>({1, 2, 2, 4}, {4});
  const Tensor values = Tensor::from<float>({0, 2, 3, 5}, {2, 2});
  EXPECT_EQ(kernels::search_sorted(sorted, values).to_vector<int64_t>(),
            (std::vector<int64_t>{0, 1, 3, 4}));
  EXPECT_EQ(kernels::search_sorted(sorted, values, true).to_vector<int64_t>(),
            (std::vector<int64_t>{0, 3, 3, 4}));
}

}  // namespace
}  // namespace heed
