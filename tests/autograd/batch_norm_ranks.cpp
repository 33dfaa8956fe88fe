#include <gtest/gtest.h>

#include "autograd/ops/channel_norm.h"
#include "core/views.h"
#include "distributed/batch_statistics.h"
#include "distributed/world.h"
#include "kernels/copy/copy.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::normal;

TEST(BatchNormOverRanks, EqualsTheWholeBatch) {
  Communicator& ranks = world();
  const int64_t rows = 12, own = rows / ranks.size(), first = ranks.rank() * own;
  const Shape shape{rows, 3, 5};
  const Tensor x = normal(shape, "x"), dy = normal(shape, "dy"), w = normal({5}, "w");
  const auto run = [&](int64_t begin, int64_t end, const SumOverRanks& sum) {
    Tensor part = kernels::contiguous(views::slice(x, 0, begin, end)).detach();
    Tensor weight = w.detach();
    require_grad(part);
    require_grad(weight);
    const BatchNormResult result = batch_norm(part, weight, {}, 1e-5, sum);
    backward(result.out, kernels::contiguous(views::slice(dy, 0, begin, end)));
    return std::tuple(result, grad(part), grad(weight));
  };
  const auto [whole, dx, dw] = run(0, rows, {});
  const auto [result, part_dx, part_dw] = run(first, first + own, sum_over(ranks));
  ranks.all_reduce(part_dw);  // each rank's is its part
  const auto expect_near = [](const Tensor& a, const Tensor& b) {
    const std::vector<double> p = a.to_vector<double>(), q = b.to_vector<double>();
    ASSERT_EQ(p.size(), q.size());
    for (size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(p[i], q[i], 1e-12);
  };
  expect_near(result.mean, whole.mean);
  expect_near(result.var, whole.var);
  expect_near(result.out, kernels::contiguous(views::slice(whole.out, 0, first, first + own)));
  expect_near(part_dx, kernels::contiguous(views::slice(dx, 0, first, first + own)));
  expect_near(part_dw, dw);
}

}  // namespace
}  // namespace heed
