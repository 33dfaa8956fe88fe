#include "autograd/ops/rnn.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/view.h"
#include "core/parallel.h"
#include "tests/autograd/testing.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::normal;
using Tensors = std::vector<Tensor>;

// One step written with differentiable ops: the definition.
std::pair<Tensor, Tensor> step(bool lstm, const RnnWeights& w, const Tensor& x, const Tensor& h,
                               const Tensor& c) {
  const Tensor gx = linear(x, w.weight_ih, w.bias_ih), gh = linear(h, w.weight_hh, w.bias_hh);
  const int64_t n = h.size(1);
  const auto part = [n](const Tensor& g, int64_t i) { return slice(g, 1, i * n, (i + 1) * n); };
  if (!lstm) {
    const Tensor r = sigmoid(part(gx, 0) + part(gh, 0)), z = sigmoid(part(gx, 1) + part(gh, 1));
    const Tensor candidate = tanh(part(gx, 2) + r * part(gh, 2));
    return {(neg(z) + 1.0) * candidate + z * h, {}};
  }
  const Tensor i = sigmoid(part(gx, 0) + part(gh, 0)), f = sigmoid(part(gx, 1) + part(gh, 1));
  const Tensor g = tanh(part(gx, 2) + part(gh, 2)), o = sigmoid(part(gx, 3) + part(gh, 3));
  const Tensor next = f * c + i * g;
  return {o * tanh(next), next};
}

RnnWeights weights_of(const Tensors& t, size_t first) {
  return {t[first], t[first + 1], t[first + 2], t[first + 3]};
}

struct Case {
  int64_t batch, steps, inputs, width;
  RnnOptions options;
};

std::vector<Case> cases() {
  return {{1, 1, 1, 1, {}},
          {2, 3, 4, 5, {}},
          {3, 4, 2, 3, {.reverse = true}},
          {4, 5, 3, 2, {.lengths = {5, 1, 0, 3}}},
          {3, 4, 2, 17, {.lengths = {2, 4, 1}, .reverse = true}},
          {19, 2, 1, 2, {}}};
}

Tensors inputs_of(const Case& c, int64_t gates) {
  return {normal({c.batch, c.steps, c.inputs}, "x"),
          normal({c.batch, c.width}, "h"),
          normal({c.batch, c.width}, "c"),
          normal({gates * c.width, c.inputs}, "wi"),
          normal({gates * c.width, c.width}, "wh"),
          normal({gates * c.width}, "bi"),
          normal({gates * c.width}, "bh")};
}

TEST(Gru, Gradcheck) {
  for (const Case& c : cases()) {
    Tensors inputs = inputs_of(c, 3);
    inputs.erase(inputs.begin() + 2);
    EXPECT_EQ(gradcheck(
                  [&](const Tensors& t) {
                    const RnnResult r = gru(t[0], weights_of(t, 2), c.options, t[1]);
                    return Tensors{r.out, r.state};
                  },
                  inputs),
              "");
  }
}

TEST(Lstm, Gradcheck) {
  for (const Case& c : cases()) {
    EXPECT_EQ(gradcheck(
                  [&](const Tensors& t) {
                    const RnnResult r = lstm(t[0], weights_of(t, 3), c.options, t[1], t[2]);
                    return Tensors{r.out, r.state, r.cell_state};
                  },
                  inputs_of(c, 4)),
              "");
  }
}

TEST(Rnn, EqualsItsDefinitionStepByStep) {
  for (const bool is_lstm : {false, true}) {
    for (const Case& c : cases()) {
      const Tensors t = inputs_of(c, is_lstm ? 4 : 3);
      const RnnWeights w = weights_of(t, 3);
      const RnnResult got =
          is_lstm ? lstm(t[0], w, c.options, t[1], t[2]) : gru(t[0], w, c.options, t[1]);
      for (int64_t row = 0; row < c.batch; ++row) {
        const int64_t length =
            c.options.lengths.empty() ? c.steps : c.options.lengths[static_cast<size_t>(row)];
        Tensor h = slice(t[1], 0, row, row + 1), cell = slice(t[2], 0, row, row + 1);
        const auto row_of = [row](const Tensor& out, int64_t at) {
          return select(select(out, 0, row), 0, at).to_vector<double>();
        };
        for (int64_t s = 0; s < length; ++s) {
          const int64_t at = c.options.reverse ? length - 1 - s : s;
          std::tie(h, cell) =
              step(is_lstm, w, select(slice(t[0], 0, row, row + 1), 1, at), h, cell);
          const std::vector<double> have = row_of(got.out, at), want = h.to_vector<double>();
          for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(have[i], want[i], 1e-12);
        }
        for (int64_t s = length; s < c.steps; ++s) {
          for (double v : row_of(got.out, s)) ASSERT_EQ(v, 0.0);
        }
        const std::vector<double> state = select(got.state, 0, row).to_vector<double>();
        const std::vector<double> want = h.to_vector<double>();
        for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(state[i], want[i], 1e-12);
      }
    }
  }
}

TEST(Rnn, F32FollowsF64) {
  const Case c{5, 13, 7, 33, {.lengths = {13, 2, 7, 1, 12}}};
  for (const bool is_lstm : {false, true}) {
    const Tensors wide = inputs_of(c, is_lstm ? 4 : 3);
    Tensors narrow;
    for (const Tensor& t : wide) narrow.push_back(cast(t, DType::f32));
    const auto run = [&](const Tensors& t) {
      const RnnWeights w = weights_of(t, 3);
      return (is_lstm ? lstm(t[0], w, c.options, t[1], t[2]) : gru(t[0], w, c.options, t[1]))
          .out.to_vector<double>();
    };
    const std::vector<double> want = run(wide), got = run(narrow);
    // outputs lie in [-1, 1]; a step sums 40 products of a few units in f32 and contracts what came
    // before
    for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 13 * 40 * 6e-8 * 4);
  }
}

TEST(Rnn, IsBitwiseTheSameForEveryThreadCount) {
  const int threads = thread_count();
  const Case c{37, 5, 8, 24, {}};
  Tensors t;
  for (const Tensor& wide : inputs_of(c, 3)) t.push_back(cast(wide, DType::f32));
  std::vector<std::vector<float>> results;
  for (const int count : {1, 2, 3}) {
    set_thread_count(count);
    require_grad(t[4]);
    clear_grad(t[4]);
    const Tensor out = gru(t[0], weights_of(t, 3), c.options, t[1]).out;
    backward(out, Tensor::full(out.shape(), 1.0));
    results.push_back(grad(t[4]).to_vector<float>());
  }
  set_thread_count(threads);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Rnn, SaysWhatDoesNotFit) {
  const Tensor x = Tensor::zeros({2, 3, 4});
  const RnnWeights w{Tensor::zeros({15, 4}), Tensor::zeros({15, 5}), {}, {}};
  EXPECT_THROW(gru(x, w, {.lengths = {3}}), Error);
  EXPECT_THROW(gru(x, w, {.lengths = {3, 4}}), Error);
  EXPECT_THROW(lstm(x, w), Error);
  EXPECT_THROW(gru(x, w, {}, Tensor::zeros({2, 4})), Error);
}

}  // namespace
}  // namespace heed
