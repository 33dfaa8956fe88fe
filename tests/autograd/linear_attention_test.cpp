#include "autograd/ops/linear_attention.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "tests/autograd/testing.h"

namespace heed {
namespace {

using testing::expect_gradients;
using testing::strided;
using testing::uniform;
using Inputs = std::vector<Tensor>;

TEST(LinearAttentionOps, GradientsWithGatesStatesAndBoth) {
  const std::function<Inputs(const Inputs&)> gated = [](const Inputs& in) {
    const auto y = causal_linear_attention(in[0], in[1], in[2], {in[3], in[4]});
    return Inputs{y.out, y.state};
  };
  for (const int64_t tokens : {1, 5, 67}) {
    const int64_t heads = tokens == 67 ? 1 : 2;
    const Tensor q = uniform({1, heads, tokens, 3}, -1, 1, 1),
                 k = strided({1, heads, tokens, 3}, -1, 1, 2),
                 v = uniform({1, heads, tokens, 2}, -1, 1, 3), state = uniform({1, heads, 3, 2});
    EXPECT_EQ(gradcheck(gated, {q, k, v, uniform({1, heads, tokens}, -1, 0), state}), "");
    EXPECT_EQ(gradcheck(gated, {q, k, v, uniform({1, heads, tokens, 3}, -1, 0), state}), "");
    expect_gradients(
        [](const Inputs& in) { return causal_linear_attention(in[0], in[1], in[2]).out; },
        {q, k, v});
  }
}

TEST(LinearAttentionOps, GradientsOfNormalisedOnes) {
  const Tensor q = uniform({1, 2, 6, 3}, 0.1, 1, 1), k = uniform({1, 2, 6, 3}, 0.1, 1, 2),
               v = uniform({1, 2, 6, 2}, -1, 1, 3);
  expect_gradients(
      [](const Inputs& in) {
        return causal_linear_attention(in[0], in[1], in[2], {.normalise = true}).out;
      },
      {q, k, v});
  for (const bool normalise : {false, true})
    expect_gradients(
        [normalise](const Inputs& in) {
          return bidirectional_linear_attention(in[0], in[1], in[2], normalise);
        },
        {q, k, v});
}

TEST(LinearAttentionOps, NormalisedWeightsAverageTheValues) {
  const Tensor q = uniform({1, 1, 70, 4}, 0.1, 1, 1), k = uniform({1, 1, 70, 4}, 0.1, 1, 2);
  const Tensor ones = Tensor::full({1, 1, 70, 3}, 1.0, DType::f64);
  for (const Tensor& y : {causal_linear_attention(q, k, ones, {.normalise = true}).out,
                          bidirectional_linear_attention(q, k, ones, true)})
    for (const double value : y.to_vector<double>()) EXPECT_NEAR(value, 1.0, 1e-14);
}

TEST(LinearAttentionOps, GradientsPassThroughTheStateOfPieces) {
  const Tensor q = uniform({1, 2, 9, 3}, -1, 1, 1), k = uniform({1, 2, 9, 3}, -1, 1, 2),
               v = uniform({1, 2, 9, 2}, -1, 1, 3), decay = uniform({1, 2, 9}, -1, 0);
  const auto pieces = [](const Inputs& in) {
    Inputs parts;
    Tensor state;
    int64_t begin = 0;
    for (const int64_t end : {4, 5, 9}) {
      const auto part = [&](const Tensor& x) { return slice(x, 2, begin, end); };
      const auto y =
          causal_linear_attention(part(in[0]), part(in[1]), part(in[2]), {part(in[3]), state});
      parts.push_back(y.out);
      state = y.state;
      begin = end;
    }
    return concat(parts, 2);
  };
  expect_gradients(pieces, {q, k, v, decay});
  const auto whole = causal_linear_attention(q, k, v, {.log_decay = decay}).out;
  const auto got = pieces({q, k, v, decay}).to_vector<double>(), want = whole.to_vector<double>();
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-14);
}

}  // namespace
}  // namespace heed
