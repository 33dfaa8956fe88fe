#include "kernels/reduce/reduce.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/parallel.h"
#include "core/random.h"
#include "core/views.h"
#include "kernels/random/fill.h"

namespace heed::kernels {
namespace {

Tensor uniform(const Shape& shape, DType dtype) {
  const Tensor x = Tensor::empty(shape, dtype);
  fill_uniform(x, -1, 2, RandomKey{1, 2, 3});
  return x;
}

// Sum and sum of magnitudes of each result, in f64 and in row-major order.
struct Naive {
  std::vector<double> sum, magnitude;
};
Naive naive_sum(const Tensor& x, const std::vector<bool>& reduced) {
  Shape kept;
  for (int d = 0; d < x.rank(); ++d) {
    if (!reduced[static_cast<size_t>(d)]) kept.push_back(x.shape()[d]);
  }
  const size_t n = static_cast<size_t>(kept.numel());
  Naive out{std::vector<double>(n), std::vector<double>(n)};
  const std::vector<double> v = x.to_vector<double>();
  for (size_t i = 0; i < v.size(); ++i) {
    int64_t rest = static_cast<int64_t>(i), at = 0, stride = 1;
    for (int d = x.rank() - 1; d >= 0; --d) {
      const int64_t index = rest % x.shape()[d];
      rest /= x.shape()[d];
      if (reduced[static_cast<size_t>(d)]) continue;
      at += index * stride;
      stride *= x.shape()[d];
    }
    out.sum[static_cast<size_t>(at)] += v[i];
    out.magnitude[static_cast<size_t>(at)] += std::abs(v[i]);
  }
  return out;
}

TEST(Sum, EverySubsetOfDimensions) {
  const std::vector<Shape> shapes = {{5, 7, 3, 11}, {1, 300, 1, 2}, {2, 3, 1, 130}, {3, 0, 2, 5}};
  for (const Shape& shape : shapes) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
      const Tensor dense = uniform(shape, dtype);
      const Tensor strided = views::transpose(views::transpose(dense, 0, 3), 0, 3);
      const Tensor permuted = views::permute(dense, {2, 0, 3, 1});
      for (const Tensor& x : {dense, strided, permuted}) {
        for (unsigned mask = 1; mask < 16; ++mask) {
          std::vector<int> dims;
          std::vector<bool> reduced(4);
          for (int d = 0; d < 4; ++d) {
            reduced[static_cast<size_t>(d)] = (mask >> d) & 1;
            if ((mask >> d) & 1) dims.push_back(d % 2 ? d : d - 4);
          }
          const Naive exact = naive_sum(x, reduced);
          const auto got = sum(x, dims, mask % 2 == 0).to_vector<double>();
          ASSERT_EQ(got.size(), exact.sum.size());
          // at most 300 additions in a row in f32, and the rounding of the result
          const double eps = dtype == DType::f64 ? 300 * 0x1p-53 : 300 * 0x1p-24;
          const double last = dtype == DType::bf16 ? 0x1p-8 : 0;
          for (size_t i = 0; i < got.size(); ++i) {
            ASSERT_NEAR(got[i], exact.sum[i],
                        eps * exact.magnitude[i] + last * std::abs(exact.sum[i]))
                << x.to_string() << " mask " << mask;
          }
        }
      }
    }
  }
}

TEST(Sum, LongSumsKeepTheirPrecision) {
  // A row is summed in f32 over pieces of 4096 in 4 vectors or more, its pieces in f64: each f32
  // sum has at most 4096 / 16 + 8 additions in a row.
  for (const Shape& shape : {Shape{1, 1'000'003}, Shape{1'000'003, 1}, Shape{300'001, 3}}) {
    const Tensor x = uniform(shape, DType::f32);
    for (const int dim : {0, 1}) {
      const Naive exact = naive_sum(x, {dim == 0, dim == 1});
      const auto got = sum(x, {dim}, false).to_vector<double>();
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_NEAR(got[i], exact.sum[i], 384 * 0x1p-24 * exact.magnitude[i])
            << x.to_string() << dim;
      }
    }
  }
}

TEST(Sum, DoesNotDependOnTheThreadCount) {
  for (const Shape& shape : {Shape{7, 100'003}, Shape{10'007, 70}, Shape{3, 5'001, 50}}) {
    const Tensor x = uniform(shape, DType::f32);
    const int threads = thread_count();
    for (int dim = 0; dim < shape.rank(); ++dim) {
      set_thread_count(1);
      const auto one = sum(x, {dim}, false).to_vector<float>();
      for (const int t : {2, 3}) {
        set_thread_count(t);
        EXPECT_EQ(sum(x, {dim}, false).to_vector<float>(), one);
      }
    }
    set_thread_count(threads);
  }
}

TEST(SumTo, UndoesBroadcasting) {
  const Tensor x = uniform({4, 3, 5}, DType::f64);
  EXPECT_TRUE(sum_to(x, {4, 3, 5}).is_same(x));
  EXPECT_EQ(sum_to(x, {3, 1}).shape(), (Shape{3, 1}));
  EXPECT_EQ(sum_to(x, {}).rank(), 0);
  EXPECT_EQ(sum_to(uniform({1, 3}, DType::f64), {3}).shape(), (Shape{3}));
  const auto ones = sum_to(Tensor::full({4, 3, 5}, 1.0), {4, 1, 5}).to_vector<float>();
  EXPECT_EQ(ones, std::vector<float>(20, 3.0f));
  EXPECT_EQ(sum_to(Tensor::zeros({0, 3}), {1, 3}).to_vector<float>(), std::vector<float>(3, 0.0f));
}

TEST(Max, ValueIndexAndNaN) {
  const Tensor x = Tensor::from<float>({1, 5, 2, 5, NAN, 7, NAN, 0, -3}, {3, 3});
  const auto [values, indices] = max_along(x, 1);
  EXPECT_EQ(values.shape(), (Shape{3, 1}));
  EXPECT_EQ(indices.to_vector<int64_t>(), (std::vector<int64_t>{1, 1, 0}));
  EXPECT_EQ(values.to_vector<float>()[0], 5.0f);
  EXPECT_TRUE(std::isnan(values.to_vector<float>()[1]));
  const auto integers = max_along(Tensor::from<int64_t>({3, -9, 4, 4}, {2, 2}), 0);
  EXPECT_EQ(integers.first.to_vector<int64_t>(), (std::vector<int64_t>{4, 4}));
  EXPECT_EQ(integers.second.to_vector<int64_t>(), (std::vector<int64_t>{1, 1}));
  EXPECT_THROW(max_along(Tensor::zeros({2, 0}), 1), Error);
  EXPECT_EQ(max_along(Tensor::zeros({0, 2}), 1).first.shape(), (Shape{0, 1}));
}

TEST(Max, ScatterPutsValuesBack) {
  const Tensor x = uniform({4, 9, 5}, DType::f32);
  for (const int dim : {0, 1, 2}) {
    const auto [values, indices] = max_along(x, dim);
    const Tensor back = scatter_along(values, indices, dim, x.size(dim));
    EXPECT_EQ(back.shape(), x.shape());
    EXPECT_EQ(sum(back, {dim}, true).to_vector<float>(), values.to_vector<float>());
  }
}

}  // namespace
}  // namespace heed::kernels
