#include "autograd/ops/reduce.h"

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
  for (const int dim : {0, 1, -1}) {
    expect_gradients([&](const Inputs& x) { return max(x[0], dim); }, {uniform({3, 5, 2})});
    expect_gradients([&](const Inputs& x) { return max(x[0], dim, true); }, {strided({3, 5, 2})});
  }
  EXPECT_THROW(max(uniform({0, 3}), 0), Error);
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
