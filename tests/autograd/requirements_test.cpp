// Requirements that papers put on the engine as a whole (docs/architecture.md lists them all with
// their tests) and that no other test states.
#include <gtest/gtest.h>

#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::normal;

// Weights of one large network hold those of its smaller ones as their first rows and columns
// (AutoDistil): the parts are views, and all gradients meet in the one weight.
TEST(Requirements, PrefixesOfAWeightAreViewsWhoseGradientsMeet) {
  Tensor weight = normal({6, 5}, "w");
  require_grad(weight);
  const Tensor x = normal({3, 5}, "x");
  const auto prefix = [&](int64_t rows, int64_t columns) {
    return slice(slice(weight, 0, 0, rows), 1, 0, columns);
  };
  EXPECT_EQ(prefix(4, 3).raw(), weight.raw());
  EXPECT_EQ(prefix(4, 3).stride(0), 5);

  std::vector<double> want(30, 0.0);
  const std::vector<double> in = x.to_vector<double>();
  for (const auto& [rows, columns] : {std::pair{4, 3}, {6, 5}, {1, 1}}) {
    backward(sum(linear(slice(x, 1, 0, columns), prefix(rows, columns))));
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < columns; ++c) {
        for (int i = 0; i < 3; ++i)
          want[static_cast<size_t>(5 * r + c)] += in[static_cast<size_t>(5 * i + c)];
      }
    }
  }
  const std::vector<double> got = grad(weight).to_vector<double>();
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-12) << i;
}

// Learned queries of one row for all samples, keys of one sample for all queries, another number of
// queries than keys: read with a batch stride of 0, not repeated.
TEST(Requirements, AttentionReadsExpandedQueriesAndKeysInPlace) {
  const Shape wide_q{3, 2, 4, 5}, wide_k{3, 2, 7, 5};
  const auto attend = [&](const std::vector<Tensor>& in) {
    const Tensor q = expand(in[0], wide_q), k = expand(in[1], wide_k);
    EXPECT_EQ(q.stride(0), 0);
    return attention(q, k, in[2], {}).out;
  };
  const std::vector<Tensor> inputs{normal({1, 2, 4, 5}, "q"), normal({1, 2, 7, 5}, "k"),
                                   normal({3, 2, 7, 3}, "v")};
  EXPECT_EQ(gradcheck(attend, inputs), "");
  const Tensor repeated =
      attention(add(expand(inputs[0], wide_q), Tensor::zeros(wide_q, DType::f64)),
                add(expand(inputs[1], wide_k), Tensor::zeros(wide_k, DType::f64)), inputs[2], {})
          .out;
  EXPECT_EQ(attend(inputs).to_vector<double>(), repeated.to_vector<double>());
}

// A node with a gradient of its own, not that of the ops it ran: the fixed point y = cos(a y) by
// iteration, its gradient by the implicit function theorem, dy/da = -y s / (1 + a s), s = sin(a y).
TEST(Requirements, ANodeMayBringItsOwnGradient) {
  const auto fixed_point = [](const Tensor& a) {
    Tensor y = Tensor::full(a.shape(), 0.5, a.dtype(), a.device());
    {
      const NoGrad no_grad;
      for (int i = 0; i < 200; ++i) y = cos(mul(a, y));
    }
    return record("fixed_point", {a}, y, [y = save(y), a = save(a)](const Tensor& dy) {
      const Tensor s = sin(mul(*a, *y));
      const Tensor slope = div(mul(neg(*y), s), add(mul(*a, s), 1.0));
      return Gradients{mul(dy, slope)};
    });
  };
  const Tensor a = Tensor::from(std::vector<double>{0.1, 0.4, 0.9}, {3});
  EXPECT_EQ(gradcheck([&](const std::vector<Tensor>& in) { return fixed_point(in[0]); }, {a}), "");
  EXPECT_EQ(
      gradcheck(  // twice, with an op between
          [&](const std::vector<Tensor>& in) { return fixed_point(square(fixed_point(in[0]))); },
          {a}),
      "");
}

}  // namespace
}  // namespace heed
