#include "autograd/ops/view.h"

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

TEST(ViewOps, ReshapeOfStridedMemory) {
  const auto fn = [](const Inputs& x) { return reshape(x[0], {-1, 3}); };
  expect_gradients(fn, {uniform({2, 3, 5})});
  expect_gradients(fn, {strided({2, 3, 5})});
  expect_gradients(fn, {strided({3, 1})});
  EXPECT_THROW(reshape(uniform({2, 3}), {4, -1}), Error);
  EXPECT_THROW(reshape(uniform({2, 3}), {-1, -1}), Error);
}

TEST(ViewOps, TransposeAndPermute) {
  for (const Shape& shape : {Shape{2, 3, 5}, Shape{1, 7}, Shape{5, 1, 1}, Shape{0, 3}}) {
    expect_gradients([](const Inputs& x) { return transpose(x[0], -1, 0); }, {uniform(shape)});
    expect_gradients([](const Inputs& x) { return transpose(x[0], -1, 0); }, {strided(shape)});
  }
  expect_gradients([](const Inputs& x) { return transpose(x[0], 1, 1); }, {strided({2, 3})});
  expect_gradients([](const Inputs& x) { return permute(x[0], {2, -3, 1}); }, {uniform({2, 3, 5})});
  EXPECT_THROW(permute(uniform({2, 3}), {0, 0}), Error);
  EXPECT_THROW(permute(uniform({2, 3}), {0}), Error);
}

TEST(ViewOps, SliceAndSelect) {
  expect_gradients([](const Inputs& x) { return slice(x[0], -1, 1, 5, 2); }, {uniform({2, 5})});
  expect_gradients([](const Inputs& x) { return slice(x[0], 0, -3, -1); }, {strided({5, 2})});
  expect_gradients([](const Inputs& x) { return slice(x[0], 0, 2, 2); }, {uniform({5, 2})});
  for (const Shape& shape : {Shape{2, 3, 2}, Shape{1, 7}, Shape{5, 1}, Shape{3, 17, 1}}) {
    expect_gradients([](const Inputs& x) { return select(x[0], -2, -1); }, {uniform(shape)});
    expect_gradients([](const Inputs& x) { return select(x[0], 0, 0); }, {strided(shape)});
  }
  EXPECT_THROW(slice(uniform({3}), 0, 0, 4), Error);
  EXPECT_THROW(select(uniform({3}), 0, 3), Error);
}

TEST(ViewOps, ExpandSqueezeUnsqueeze) {
  expect_gradients(
      [](const Inputs& x) {
        return expand(x[0], {4, 2, 3, 5});
      },
      {uniform({2, 1, 5})});
  expect_gradients([](const Inputs& x) { return expand(x[0], {3}); }, {uniform({})});
  expect_gradients([](const Inputs& x) { return expand(x[0], {0, 3}); }, {uniform({1, 3})});
  expect_gradients([](const Inputs& x) { return squeeze(x[0], -2); }, {strided({2, 1, 3})});
  expect_gradients([](const Inputs& x) { return unsqueeze(x[0], -1); }, {strided({2, 3})});
  expect_gradients([](const Inputs& x) { return unsqueeze(x[0], 0); }, {uniform({})});
  EXPECT_THROW(squeeze(uniform({2, 3}), 0), Error);
  EXPECT_THROW(expand(uniform({2, 3}), {2, 4}), Error);
}

TEST(ViewOps, ConcatAndStack) {
  expect_gradients(
      [](const Inputs& x) {
        return concat({x[0], x[1], x[0]}, -1);
      },
      {uniform({2, 3}), strided({2, 5})});
  expect_gradients([](const Inputs& x) { return concat(x, 0); },
                   {uniform({0, 3}), uniform({2, 3})});
  expect_gradients(
      [](const Inputs& x) {
        return stack({x[0], x[1]}, -1);
      },
      {uniform({2, 3}), strided({2, 3})});
  expect_gradients([](const Inputs& x) { return stack({x[0], x[0]}, 0); }, {uniform({})});
  EXPECT_EQ(stack({uniform({2, 3}), uniform({2, 3})}, 1).shape(), (Shape{2, 2, 3}));
  EXPECT_THROW(concat({uniform({2, 3}), uniform({3, 3})}, 1), Error);
  EXPECT_THROW(concat({}, 0), Error);
  EXPECT_THROW(stack({uniform({2}), uniform({3})}, 0), Error);
}

TEST(ViewOps, StackOfManyParts) {
  std::vector<Tensor> parts;
  for (int i = 0; i < 100; ++i) {
    parts.push_back(Tensor::full({1}, i, DType::f64));
    if (i % 2 == 0) require_grad(parts.back());
  }
  backward(sum(stack(parts, 0)));
  for (size_t i = 0; i < parts.size(); ++i) EXPECT_EQ(grad(parts[i]).defined(), i % 2 == 0);
}

TEST(ViewOps, SplitIntoViews) {
  const std::function<std::vector<Tensor>(const Inputs&)> three = [](const Inputs& x) {
    return split(x[0], {1, 3, 1}, -1);
  };
  EXPECT_EQ(gradcheck(three, {uniform({2, 5})}), "");
  EXPECT_EQ(gradcheck(three, {strided({2, 5})}), "");
  EXPECT_EQ(gradcheck(three, {strided({7, 1, 5})}), "");
  expect_gradients([](const Inputs& x) { return split(x[0], {2, 0, 3}, 0)[2]; }, {uniform({5})});
  const Tensor x = uniform({2, 5});
  EXPECT_EQ(split(x, {2, 3}, 1)[1].storage(), x.storage());
  EXPECT_THROW(split(x, {2, 2}, 1), Error);
  EXPECT_THROW(split(x, {2, 4}, 1), Error);
}

TEST(ViewOps, Contiguous) {
  for (const Shape& shape : odd_shapes()) {
    expect_gradients([](const Inputs& x) { return contiguous(x[0]); }, {strided(shape)});
  }
  const Tensor x = uniform({3, 5});
  EXPECT_TRUE(contiguous(x).is_same(x));
  EXPECT_TRUE(contiguous(transpose(x, 0, 1)).is_contiguous());
}

}  // namespace
}  // namespace heed
