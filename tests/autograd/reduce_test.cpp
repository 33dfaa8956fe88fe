#include "autograd/ops/reduce.h"

#include <cmath>
#include <limits>

#include "tests/autograd/testing.h"

namespace heed {
namespace {

using testing::expect_gradients;
using testing::odd_shapes;
using testing::strided;
using testing::uniform;
using Inputs = std::vector<Tensor>;

TEST(ReduceOps, SumOverEverything) {
  for (const Shape& shape : odd_shapes()) {
    expect_gradients([](const Inputs& x) { return sum(x[0]); }, {uniform(shape)});
    expect_gradients([](const Inputs& x) { return sum(x[0], {}, true); }, {strided(shape)});
  }
}

TEST(ReduceOps, SumAndMeanOverDimensions) {
  const std::vector<std::vector<int>> dims = {{0}, {-1}, {1}, {0, 2}, {1, -1}, {0, 1, 2, 3}};
  for (const std::vector<int>& d : dims) {
    for (const bool keepdim : {false, true}) {
      expect_gradients([&](const Inputs& x) { return sum(x[0], d, keepdim); },
                       {uniform({2, 3, 1, 5})});
      expect_gradients([&](const Inputs& x) { return mean(x[0], d, keepdim); },
                       {strided({3, 2, 2, 3})});
    }
  }
  EXPECT_EQ(sum(uniform({2, 3, 5}), {1}).shape(), (Shape{2, 5}));
  EXPECT_EQ(sum(uniform({2, 3, 5}), {-1, 0}, true).shape(), (Shape{1, 3, 1}));
  EXPECT_EQ(sum(uniform({0, 3}), {0}).to_vector<double>(), (std::vector<double>{0, 0, 0}));
  EXPECT_THROW(sum(uniform({2, 3}), {2}), Error);
  EXPECT_THROW(sum(uniform({2, 3}), {1, -1}), Error);
  EXPECT_THROW(mean(uniform({0, 3}), {0}), Error);
}

TEST(ReduceOps, Max) {
  for (const Shape& shape : {Shape{3, 5, 2}, Shape{1, 7}, Shape{17, 1, 1}}) {
    for (const int dim : {0, 1, -1}) {
      expect_gradients([&](const Inputs& x) { return max(x[0], dim); }, {uniform(shape)});
      expect_gradients([&](const Inputs& x) { return max(x[0], dim, true); }, {strided(shape)});
    }
  }
  EXPECT_THROW(max(uniform({0, 3}), 0), Error);
}

TEST(ReduceOps, MinAndIndices) {
  for (const Shape& shape : {Shape{3, 5, 2}, Shape{1, 7}, Shape{17, 1, 1}}) {
    for (const int dim : {0, 1, -1}) {
      expect_gradients([&](const Inputs& x) { return min(x[0], dim); }, {uniform(shape)});
      expect_gradients([&](const Inputs& x) { return min_with_indices(x[0], dim, true).first; },
                       {strided(shape)});
      expect_gradients([&](const Inputs& x) { return max_with_indices(x[0], dim).first; },
                       {strided(shape)});
    }
  }
}

TEST(ReduceOps, TheFirstOfEqualsIsTheMinimum) {
  const Tensor x = Tensor::from<float>({1, 3, 1, 2, 2, 4}, {2, 3});
  const auto [values, indices] = min_with_indices(x, -1, true);
  EXPECT_EQ(values.shape(), (Shape{2, 1}));
  EXPECT_EQ(indices.shape(), (Shape{2, 1}));
  EXPECT_EQ(values.to_vector<float>(), (std::vector<float>{1, 2}));
  EXPECT_EQ(indices.to_vector<int64_t>(), (std::vector<int64_t>{0, 0}));
  EXPECT_EQ(argmin(x, -1).to_vector<int64_t>(), (std::vector<int64_t>{0, 0}));
  EXPECT_EQ(max_with_indices(x, 1).second.to_vector<int64_t>(), argmax(x, 1).to_vector<int64_t>());
  EXPECT_THROW(argmin(uniform({0, 3}), 0), Error);
}

TEST(ReduceOps, VarianceNormAndLogSumExp) {
  const std::vector<std::vector<int>> dims = {{}, {0}, {-1}, {1}, {2, 0}, {1, -1}};
  for (const std::vector<int>& d : dims) {
    for (const bool keepdim : {false, true}) {
      for (const Tensor& x : {uniform({3, 2, 5}), strided({3, 2, 5})}) {
        for (const double correction : {0.0, 1.0}) {
          expect_gradients([&](const Inputs& in) { return var(in[0], d, correction, keepdim); },
                           {x});
          expect_gradients(
              [&](const Inputs& in) { return standard_deviation(in[0], d, correction, keepdim); },
              {x});
        }
        expect_gradients([&](const Inputs& in) { return logsumexp(in[0], d, keepdim); }, {x});
        expect_gradients([&](const Inputs& in) { return l2_norm(in[0], d, keepdim); }, {x});
      }
    }
  }
  expect_gradients([&](const Inputs& in) { return logsumexp(in[0]); }, {uniform({})});
  expect_gradients([&](const Inputs& in) { return logsumexp(in[0], {1}); }, {uniform({0, 3})});
  EXPECT_EQ(var(uniform({2, 3, 5}), {1}, 1, true).shape(), (Shape{2, 1, 5}));
  EXPECT_EQ(logsumexp(uniform({2, 3, 5}), {-1, 0}).shape(), (Shape{3}));
  EXPECT_THROW(var(uniform({3, 1}), {1}), Error);
  EXPECT_THROW(l2_norm(uniform({3, 1}), {1, -1}), Error);
  EXPECT_THROW(logsumexp(uniform({3, 0}), {1}), Error);
}

TEST(ReduceOps, AgainstFormulasInF64) {
  const Shape shape = {37, 53};
  for (const DType dtype : {DType::f32, DType::bf16}) {
    // a long way from zero, where a difference of large sums would lose the variance
    Tensor x = Tensor::empty(shape, dtype);
    const Tensor wide = uniform(shape, 99, 101);
    x = dtype == DType::f32 ? Tensor::from(wide.to_vector<float>(), shape)
                            : Tensor::from(wide.to_vector<bfloat16>(), shape);
    const Tensor exact = Tensor::from(x.to_vector<double>(), shape);
    const auto compare = [&](const Tensor& got, const Tensor& want, double relative) {
      EXPECT_EQ(got.dtype(), dtype);
      const double rounding = dtype == DType::bf16 ? 0x1.01p-8 : 0x1p-23;
      const auto a = got.to_vector<double>(), b = want.to_vector<double>();
      for (size_t i = 0; i < b.size(); ++i) {
        EXPECT_NEAR(a[i], b[i], (relative + rounding) * std::abs(b[i]));
      }
    };
    // centred values of about 0.6 with the error of 100 in f32, 6e-6: twice that, relative
    compare(var(x, {1}), var(exact, {1}), 4e-5);
    compare(standard_deviation(x, {0}), standard_deviation(exact, {0}), 2e-5);
    compare(logsumexp(x, {1}), logsumexp(exact, {1}), 4e-7);
    compare(l2_norm(x, {0}), l2_norm(exact, {0}), 4e-7);
  }
}

TEST(ReduceOps, NoNaNsWhereThereIsNoSlope) {
  const double inf = std::numeric_limits<double>::infinity();
  Tensor zero = Tensor::zeros({2, 3}, DType::f64), none = Tensor::full({2, 3}, -inf, DType::f64);
  require_grad(zero), require_grad(none);
  backward(sum(l2_norm(zero, {1})));
  backward(sum(standard_deviation(zero, {1})));
  EXPECT_EQ(grad(zero).to_vector<double>(), std::vector<double>(6, 0.0));
  const Tensor lse = logsumexp(none, {1});
  EXPECT_EQ(lse.to_vector<double>(), (std::vector<double>{-inf, -inf}));
  backward(sum(lse));
  EXPECT_EQ(grad(none).to_vector<double>(), std::vector<double>(6, 0.0));
  EXPECT_EQ(logsumexp(Tensor::from<double>({1, inf}, {2})).item(), inf);
}

TEST(ReduceOps, TheFirstOfEqualsIsTheMaximum) {
  Tensor x = Tensor::from<float>({1, 3, 3, 2, 2, 2}, {2, 3});
  EXPECT_EQ(argmax(x, 1).to_vector<int64_t>(), (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(argmax(x, -2).to_vector<int64_t>(), (std::vector<int64_t>{1, 0, 0}));
  require_grad(x);
  backward(sum(max(x, 1)));
  EXPECT_EQ(grad(x).to_vector<float>(), (std::vector<float>{0, 1, 0, 1, 0, 0}));
}

}  // namespace
}  // namespace heed
