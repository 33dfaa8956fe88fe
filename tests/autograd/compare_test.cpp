#include "autograd/ops/compare.h"

#include <limits>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "tests/autograd/testing.h"

namespace heed {
namespace {

using testing::expect_gradients;
using testing::odd_shapes;
using testing::strided;
using testing::uniform;
using Inputs = std::vector<Tensor>;
using Bools = std::vector<int>;

TEST(CompareOps, WhereAndMaskedFillGradients) {
  for (const Shape& shape : odd_shapes()) {
    const Tensor cond = gt(uniform(shape, -1, 1, 7), 0.2);
    expect_gradients([&](const Inputs& x) { return where(cond, x[0], x[1]); },
                     {uniform(shape), strided(shape, -2, 2, 3)});
    expect_gradients([&](const Inputs& x) { return masked_fill(x[0], cond, -7.5); },
                     {strided(shape)});
  }
  const Tensor column = gt(uniform({3, 1}, -1, 1, 5), 0.0);
  expect_gradients([&](const Inputs& x) { return where(column, x[0], x[1]); },
                   {uniform({5}), uniform({2, 1, 1})});
  expect_gradients([&](const Inputs& x) { return masked_fill(x[0], column, 1.0); },
                   {uniform({2, 3, 5})});
  EXPECT_THROW(where(uniform({2}), uniform({2}), uniform({2})), Error);
  EXPECT_THROW(masked_fill(uniform({5}), column, 0.0), Error);
}

TEST(CompareOps, WhatIsNotChosenDoesNotLeak) {
  const double inf = std::numeric_limits<double>::infinity();
  Tensor x = Tensor::from<double>({0, 4}, {2});
  require_grad(x);
  const Tensor y =
      where(gt(x, 1.0), log(where(gt(x, 1.0), x, Tensor::scalar(1.0))), Tensor::scalar(-inf));
  EXPECT_EQ(y.to_vector<double>()[0], -inf);
  backward(sum(where(gt(x, 1.0), y, Tensor::scalar(0.0))));
  EXPECT_EQ(grad(x).to_vector<double>(), (std::vector<double>{0, 0.25}));
}

TEST(CompareOps, ResultsAreBool) {
  const Tensor a = Tensor::from<float>({1, 2, 3}, {3}), b = Tensor::from<double>({3, 2, 1}, {3});
  EXPECT_EQ(eq(a, b).dtype(), DType::boolean);
  EXPECT_EQ(eq(a, b).to_vector<int>(), (Bools{0, 1, 0}));
  EXPECT_EQ(ne(a, b).to_vector<int>(), (Bools{1, 0, 1}));
  EXPECT_EQ(lt(a, b).to_vector<int>(), (Bools{1, 0, 0}));
  EXPECT_EQ(le(a, b).to_vector<int>(), (Bools{1, 1, 0}));
  EXPECT_EQ(gt(a, b).to_vector<int>(), (Bools{0, 0, 1}));
  EXPECT_EQ(ge(a, 2.0).to_vector<int>(), (Bools{0, 1, 1}));
  const Tensor ids = Tensor::from<int64_t>({0, 7, 0}, {3});
  EXPECT_EQ(eq(ids, 0).to_vector<int>(), (Bools{1, 0, 1}));
  EXPECT_EQ(logical_not(eq(ids, 0)).to_vector<int>(), (Bools{0, 1, 0}));
  EXPECT_EQ(logical_and(lt(a, b), eq(ids, 0)).to_vector<int>(), (Bools{1, 0, 0}));
  EXPECT_EQ(logical_or(lt(a, b), eq(ids, 7)).to_vector<int>(), (Bools{1, 1, 0}));
  EXPECT_THROW(logical_not(a), Error);
  EXPECT_THROW(eq(ids, a), Error);
}

}  // namespace
}  // namespace heed
