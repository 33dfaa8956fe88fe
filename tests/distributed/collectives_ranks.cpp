// Collectives on the tape: each against what all ranks' inputs, which a test knows, add up to, and
// each gradient against the adjoint.
#include <gtest/gtest.h>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "distributed/collectives.h"
#include "distributed/world.h"
#include "kernels/copy/copy.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::normal;

// Any rank's tensor of that name.
Tensor of_rank(const Shape& shape, const char* name, int rank, DType dtype = DType::f64) {
  return normal(shape, fmt::format("{} {}", name, rank), dtype);
}

Tensor sum_of_ranks(const Shape& shape, const char* name) {
  Tensor sum = of_rank(shape, name, 0);
  for (int r = 1; r < world().size(); ++r) sum = add(sum, of_rank(shape, name, r));
  return sum;
}

Tensor side_by_side(const Shape& shape, const char* name, int dim) {
  std::vector<Tensor> parts;
  for (int r = 0; r < world().size(); ++r) parts.push_back(of_rank(shape, name, r));
  return concat(parts, dim);
}

Tensor own_part(const Tensor& x, int dim) {
  const int64_t n = x.size(dim) / world().size();
  return slice(x, dim, world().rank() * n, (world().rank() + 1) * n);
}

// A rounding of each of the few terms of a sum.
void expect_near(const Tensor& got, const Tensor& want) {
  ASSERT_EQ(got.shape(), want.shape());
  const std::vector<double> x = got.to_vector<double>(), y = want.to_vector<double>();
  for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], 1e-14) << i;
}

Tensor leaf(const Tensor& values) {
  Tensor x = kernels::contiguous(values.detach());
  return require_grad(x);
}

// The gradient of x where rank r's loss is sum(y weight_r).
Tensor gradient_of(const Tensor& x, const Tensor& y, const Tensor& weight) {
  clear_grad(x);
  backward(sum(mul(y, weight)));
  return grad(x);
}

const Shape kShapes[] = {{5}, {3, 4}, {2, 3, 5}, {1, 7, 2}, {2, 1, 3, 4}};

TEST(Collectives, AllReduceAndItsGradientAreSums) {
  const int rank = world().rank();
  for (const Shape& shape : kShapes) {
    const Tensor x = leaf(of_rank(shape, "x", rank));
    const Tensor y = all_reduce(x, world());
    expect_near(y, sum_of_ranks(shape, "x"));
    expect_near(x, of_rank(shape, "x", rank));  // not in place
    expect_near(gradient_of(x, y, of_rank(shape, "w", rank)), sum_of_ranks(shape, "w"));
  }
}

TEST(Collectives, AllGatherAndReduceScatterAreEachOthersGradients) {
  const int rank = world().rank();
  for (const Shape& shape : kShapes) {
    for (int dim = 0; dim < shape.rank(); ++dim) {
      Shape whole = shape;
      whole[dim] *= world().size();
      const Tensor x = leaf(of_rank(shape, "x", rank));
      const Tensor y = all_gather(x, dim, world());
      expect_near(y, side_by_side(shape, "x", dim));
      expect_near(gradient_of(x, y, of_rank(whole, "w", rank)),
                  own_part(sum_of_ranks(whole, "w"), dim));

      const Tensor u = leaf(of_rank(whole, "u", rank));
      const Tensor v = reduce_scatter(u, dim - shape.rank(), world());  // counted from the end
      expect_near(v, own_part(sum_of_ranks(whole, "u"), dim));
      expect_near(gradient_of(u, v, of_rank(shape, "w", rank)), side_by_side(shape, "w", dim));
    }
  }
}

TEST(Collectives, TakeStridedTensors) {
  const int rank = world().rank();
  const Tensor x = leaf(of_rank({4, 3}, "x", rank));
  const Tensor y = all_gather(transpose(x, 0, 1), 0, world());
  std::vector<Tensor> parts;
  for (int r = 0; r < world().size(); ++r)
    parts.push_back(transpose(of_rank({4, 3}, "x", r), 0, 1));
  expect_near(y, concat(parts, 0));
  expect_near(all_reduce(transpose(x, 0, 1), world()), transpose(sum_of_ranks({4, 3}, "x"), 0, 1));
  // A gradient that is a broadcast view.
  clear_grad(x);
  backward(sum(all_reduce(x, world())));
  expect_near(grad(x), Tensor::full({4, 3}, world().size(), DType::f64));
}

TEST(Collectives, KeepTheDtype) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Tensor x = leaf(Tensor::full({2, 2}, 1.0 + world().rank(), dtype));
    const Tensor y = all_reduce(x, world());
    EXPECT_EQ(y.dtype(), dtype);
    EXPECT_EQ(y.to_vector<double>()[0], world().size() * (world().size() + 1) / 2.0);
    backward(sum(all_gather(y, 1, world())));
    EXPECT_EQ(grad(x).dtype(), dtype);
    EXPECT_EQ(grad(x).to_vector<double>()[0], world().size() * world().size());
  }
}

TEST(Collectives, SendWhatTheyMust) {
  const int64_t n = world().size();
  const Tensor x = leaf(Tensor::full({n, 6}, 1.0));
  const int64_t bytes = x.bytes();
  const auto sent = [](const std::function<void()>& fn) {
    const int64_t before = world().bytes_sent();
    fn();
    return world().bytes_sent() - before;
  };
  EXPECT_EQ(sent([&] { backward(sum(all_reduce(x, world()))); }), 2 * (2 * bytes * (n - 1) / n));
  EXPECT_EQ(sent([&] { backward(sum(all_gather(x, 1, world()))); }), 2 * bytes * (n - 1));
  EXPECT_EQ(sent([&] { backward(sum(reduce_scatter(x, 0, world()))); }), 2 * bytes * (n - 1) / n);
}

TEST(Collectives, OneRankIsLeftAlone) {
  const auto self = self_communicator();
  const Tensor x = leaf(Tensor::full({2, 2}, 3.0));
  EXPECT_TRUE(all_reduce(x, *self).is_same(x));
  EXPECT_TRUE(all_gather(x, 0, *self).is_same(x));
  EXPECT_TRUE(reduce_scatter(x, 1, *self).is_same(x));
}

TEST(Collectives, RefuseWhatDoesNotShareOut) {
  const Tensor x = Tensor::zeros({world().size() + 1, 2});
  EXPECT_THROW(reduce_scatter(x, 0, world()), Error);
  EXPECT_THROW(all_gather(x, 2, world()), Error);
}

}  // namespace
}  // namespace heed
