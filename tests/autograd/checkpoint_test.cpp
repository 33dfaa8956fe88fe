#include "autograd/checkpoint.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "tests/autograd/testing.h"

namespace heed {
namespace {

using testing::uniform;
using Inputs = std::vector<Tensor>;

Tensor parameter(const Shape& shape, uint64_t seed) {
  Tensor w = uniform(shape, 0.5, 1.5, seed);
  return require_grad(w);
}

TEST(Checkpoint, GradientsAreThoseOfTheFunction) {
  Tensor x = parameter({3, 5}, 1), w = parameter({5}, 2);
  const auto fn = [&w](const Inputs& in) { return tanh(mul(exp(in[0]), w)); };
  backward(sum(square(fn({x}))));
  const auto dx = grad(x).to_vector<double>(), dw = grad(w).to_vector<double>();
  clear_grad(x), clear_grad(w);
  backward(sum(square(checkpoint(fn, {x}))));
  EXPECT_EQ(grad(x).to_vector<double>(), dx);
  EXPECT_EQ(grad(w).to_vector<double>(), dw);
}

TEST(Checkpoint, Gradcheck) {
  testing::expect_gradients(
      [](const Inputs& x) {
        return checkpoint([](const Inputs& in) { return mul(gelu(in[0]), in[1]); }, {x[0], x[1]});
      },
      {uniform({3, 5}, -2, 2, 1), uniform({5}, -2, 2, 2)});
}

TEST(Checkpoint, KeepsNothingOfTheInside) {
  Tensor x = parameter({10000}, 1);
  const auto fn = [](const Inputs& in) { return exp(tanh(sigmoid(square(in[0])))); };
  const int64_t before = allocator::stats().in_use_bytes;
  const Tensor y = checkpoint(fn, {x});
  EXPECT_LT(allocator::stats().in_use_bytes, before + 2 * 80000);  // y alone
}

TEST(Checkpoint, ParametersInsideAreReachedWithoutAnInputThatWantsAGradient) {
  Tensor w = parameter({3}, 1);
  const Tensor x = uniform({3});
  const Tensor y = checkpoint([&w](const Inputs& in) { return mul(in[0], w); }, {x});
  ASSERT_TRUE(requires_grad(y));
  backward(sum(y));
  EXPECT_EQ(grad(w).to_vector<double>(), x.to_vector<double>());
  EXPECT_FALSE(requires_grad(x));
}

TEST(Checkpoint, FrozenParametersInsideStayFrozen) {
  Tensor x = parameter({3}, 1), w = uniform({3}, 0.5, 1.5, 2);
  const auto fn = [&w](const Inputs& in) { return mul(in[0], w); };
  backward(sum(checkpoint(fn, {x})));
  EXPECT_EQ(grad(x).to_vector<double>(), w.to_vector<double>());
  EXPECT_FALSE(grad(w).defined());
  EXPECT_FALSE(requires_grad(checkpoint(fn, {uniform({3})})));
}

TEST(Checkpoint, RandomDrawsRepeat) {
  Tensor x = parameter({100}, 1);
  const auto fn = [](const Inputs& in) {
    return dropout(in[0], 0.5, current_key(7), {.first_row = first_draw(in[0].size(0))});
  };
  random_context() = {.seed = 1, .step = 5, .part = 2};
  const Tensor y = checkpoint(fn, {x});
  random_context() = {.seed = 1, .step = 6, .part = 0};
  backward(sum(y));
  EXPECT_EQ(random_context().step, 6u);
  const auto out = y.to_vector<double>(), in = x.to_vector<double>();
  const auto dx = grad(x).to_vector<double>();
  for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], in[i] * dx[i]);
  random_context() = {};
}

TEST(Checkpoint, KnowsThatItRecomputes) {
  Tensor x = parameter({2}, 1);
  std::vector<bool> seen;
  const auto fn = [&seen](const Inputs& in) {
    seen.push_back(recomputing());
    return square(in[0]);
  };
  backward(sum(checkpoint(fn, {x})));
  EXPECT_EQ(seen, (std::vector<bool>{false, true}));
  EXPECT_FALSE(recomputing());
}

TEST(Checkpoint, NestsAndRunsInsideNoGrad) {
  Tensor x = parameter({3}, 1), w = parameter({3}, 2);
  const auto inner = [&w](const Inputs& in) { return mul(exp(in[0]), w); };
  const auto outer = [&](const Inputs& in) { return square(checkpoint(inner, {tanh(in[0])})); };
  backward(sum(square(inner({tanh(x)}))));
  const auto dx = grad(x).to_vector<double>(), dw = grad(w).to_vector<double>();
  clear_grad(x), clear_grad(w);
  backward(sum(checkpoint(outer, {x})));
  EXPECT_EQ(grad(x).to_vector<double>(), dx);
  EXPECT_EQ(grad(w).to_vector<double>(), dw);
  const NoGrad guard;
  EXPECT_FALSE(requires_grad(checkpoint(outer, {x})));
}

TEST(Checkpoint, TheGradReadyHookWaitsForUsesInsideAndOutside) {
  Tensor x = parameter({2}, 1), w = parameter({2}, 2);  // w is used inside twice, and outside
  std::vector<Tensor> ready;
  std::vector<double> at_ready;
  set_grad_ready_hook([&](const Tensor& leaf) {
    ready.push_back(leaf);
    at_ready.push_back(grad(leaf).to_vector<double>()[0]);
  });
  const auto fn = [&w](const Inputs& in) { return mul(mul(in[0], w), w); };
  const Tensor h = mul(x, w);
  const Tensor y = sum(mul(checkpoint(fn, {h}), w));
  backward(y);
  set_grad_ready_hook({});
  ASSERT_EQ(ready.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(at_ready[i], grad(ready[i]).to_vector<double>()[0]);
  }
  const double w0 = w.to_vector<double>()[0], x0 = x.to_vector<double>()[0];
  EXPECT_NEAR(grad(w).to_vector<double>()[0], 4 * x0 * w0 * w0 * w0, 1e-12);  // d x w^4
}

TEST(Checkpoint, ACapturedResultIsAnErrorThatSaysWhatToDo) {
  Tensor x = parameter({2}, 1);
  const Tensor h = square(x);
  try {
    checkpoint([&h](const Inputs& in) { return mul(in[0], h); }, {x});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("pass it among the inputs"), std::string::npos);
  }
}

TEST(Checkpoint, AnInputChangedInPlaceIsAnError) {
  Tensor x = parameter({2}, 1);
  const Tensor h = square(x);
  const Tensor y = sum(checkpoint([](const Inputs& in) { return exp(in[0]); }, {h}));
  h.bump_version();
  EXPECT_THROW(backward(y), Error);
}

TEST(Checkpoint, IntegerInputsPassThrough) {
  Tensor x = parameter({2}, 1);
  const Tensor ids = Tensor::zeros({2}, DType::i64);
  const auto fn = [](const Inputs& in) {
    EXPECT_EQ(in[1].dtype(), DType::i64);
    return square(in[0]);
  };
  backward(sum(checkpoint(fn, {x, ids})));
  EXPECT_TRUE(grad(x).defined());
}

}  // namespace
}  // namespace heed
