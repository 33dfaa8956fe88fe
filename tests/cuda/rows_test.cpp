// Rows and columns too long for one warp, one piece or one tile: the ops' own cases are small.
#include <gtest/gtest.h>

#include "autograd/gradcheck.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/norm.h"
#include "autograd/ops/reduce.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::integers;
using testing::normal;
using Inputs = std::vector<Tensor>;

class Rows : public ::testing::TestWithParam<int64_t> {
 protected:
  int64_t n() const { return GetParam(); }
  Tensor x(const char* name = "x") const { return normal({3, n()}, name); }
  Tensor row(const char* name) const { return normal({n()}, name); }
};

TEST_P(Rows, OfSoftmax) {
  EXPECT_EQ(gradcheck([](const Inputs& in) { return softmax(in[0], -1); }, {x()}), "");
  EXPECT_EQ(gradcheck([](const Inputs& in) { return log_softmax(in[0], -1); }, {x()}), "");
  EXPECT_EQ(gradcheck([](const Inputs& in) { return softmax(in[0], 0); }, {x()}), "");
}

TEST_P(Rows, OfNorms) {
  EXPECT_EQ(gradcheck([](const Inputs& in) { return layer_norm(in[0], in[1], in[2]); },
                      {x(), row("w"), row("b")}),
            "");
  EXPECT_EQ(gradcheck(
                [](const Inputs& in) -> Inputs {
                  const auto [sum, y] = add_rms_norm(in[0], in[1], in[2]);
                  return {sum, y};
                },
                {x(), x("more"), row("w")}),
            "");
}

TEST_P(Rows, OfCrossEntropy) {
  const Tensor targets = integers({3}, n(), "targets");
  for (const double smoothing : {0.0, 0.1}) {
    EXPECT_EQ(gradcheck(
                  [&](const Inputs& in) {
                    return cross_entropy(in[0], targets, {.smoothing = smoothing});
                  },
                  {x()}),
              "");
  }
  EXPECT_EQ(
      gradcheck(
          [&](const Inputs& in) { return linear_cross_entropy(in[0], in[1], in[2], targets); },
          {normal({3, 5}, "x"), normal({n(), 5}, "w"), row("b")}),
      "");
}

TEST_P(Rows, OfReductions) {
  EXPECT_EQ(gradcheck([](const Inputs& in) { return sum(in[0], {1}); }, {x()}), "");
  EXPECT_EQ(gradcheck([](const Inputs& in) { return sum(in[0], {0}); }, {normal({n(), 3}, "x")}),
            "");
  EXPECT_EQ(gradcheck([](const Inputs& in) { return logsumexp(in[0], {1}); }, {x()}), "");
  EXPECT_EQ(gradcheck([](const Inputs& in) { return max(in[0], 1); }, {x()}), "");
}

TEST_P(Rows, OfBroadcastsAndRowsByIndex) {
  EXPECT_EQ(gradcheck([](const Inputs& in) { return mul(in[0], in[1]); }, {x(), row("w")}), "");
  EXPECT_EQ(gradcheck([](const Inputs& in) { return add(in[0], in[1]); },
                      {x(), normal({3, 1}, "column")}),
            "");
  const Tensor ids = integers({7}, 3, "ids");
  EXPECT_EQ(gradcheck([&](const Inputs& in) { return index_select(in[0], 0, ids); }, {x()}), "");
}

INSTANTIATE_TEST_SUITE_P(Long, Rows, ::testing::Values(129, 260, 1030, 16400));

}  // namespace
}  // namespace heed
