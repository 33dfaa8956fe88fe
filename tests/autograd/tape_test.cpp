#include "autograd/tape.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "tests/autograd/testing.h"

namespace heed {
namespace {

using testing::uniform;

Tensor leaf(double value) {
  Tensor x = Tensor::scalar(value);
  return require_grad(x);
}

template <class Fn>
std::string message_of(Fn&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return error.what();
  }
  return "(no error)";
}

TEST(Tape, ADiamondSumsBothPaths) {
  const Tensor x = leaf(3.0);
  const Tensor y = square(x);
  backward(add(mul(y, 2.0), mul(y, x)));  // 2 x^2 + x^3
  EXPECT_DOUBLE_EQ(grad(x).item(), 4 * 3.0 + 3 * 9.0);
}

TEST(Tape, ALeafUsedTwiceByOneOp) {
  const Tensor x = leaf(3.0);
  backward(mul(x, x));
  EXPECT_DOUBLE_EQ(grad(x).item(), 6.0);
}

TEST(Tape, ADeepDiamondOfSharedGradients) {
  // every add hands the same tensor to both of its inputs
  const Tensor x = leaf(1.0);
  Tensor y = x;
  for (int i = 0; i < 30; ++i) y = add(y, y);
  backward(y);
  EXPECT_DOUBLE_EQ(grad(x).item(), std::exp2(30));
}

TEST(Tape, LeavesThatShareAnIncomingGradientDoNotShareTheirOwn) {
  Tensor a = uniform({3}), b = uniform({3}, -2, 2, 2);
  require_grad(a), require_grad(b);
  backward(sum(add(a, b)));
  grad(a).data<double>()[0] = 100.0;
  EXPECT_EQ(grad(b).to_vector<double>(), (std::vector<double>{1, 1, 1}));
}

TEST(Tape, ASeedIsNotWrittenInto) {
  const Tensor x = leaf(1.0), seed = Tensor::scalar(1.0);
  const Tensor y = mul(x, 2.0);
  backward({y, y}, {seed, seed});
  EXPECT_DOUBLE_EQ(seed.item(), 1.0);
  EXPECT_DOUBLE_EQ(grad(x).item(), 4.0);
}

TEST(Tape, SeveralOutputsOneUnused) {
  Tensor x = uniform({5});
  require_grad(x);
  backward(sum(square(split(x, {2, 2, 1}, 0)[1])));
  const std::vector<double> v = x.to_vector<double>();
  EXPECT_EQ(grad(x).to_vector<double>(), (std::vector<double>{0, 0, 2 * v[2], 2 * v[3], 0}));
}

TEST(Tape, AClosureIsNotCalledForAnOutputThatNothingUsed) {
  Tensor x = uniform({2});
  require_grad(x);
  bool called = false;
  const Tensor unused = record("unused", {x}, uniform({2}), [&called](const Tensor& dy) {
    called = true;
    return Gradients{dy};
  });
  backward(sum(square(x)));
  EXPECT_FALSE(called);
  EXPECT_TRUE(has_history(unused));
}

TEST(Tape, ASavedTensorChangedInPlaceIsAnErrorNamingTheOp) {
  Tensor x = uniform({3});
  require_grad(x);
  const Tensor h = mul(x, 2.0);
  const Tensor y = sum(square(h));
  h.data<double>()[0] = 7.0;
  h.bump_version();
  const std::string message = message_of([&] { backward(y); });
  EXPECT_NE(message.find("backward of square: a tensor it saved (f64[3]) was changed in place"),
            std::string::npos)
      << message;
  EXPECT_STREQ(current_backward_op(), "");
}

TEST(Tape, WalkingTwiceNeedsKeep) {
  const Tensor x = leaf(3.0);
  const Tensor y = square(x);
  backward(y, {}, /*keep=*/true);
  backward(y);
  EXPECT_DOUBLE_EQ(grad(x).item(), 12.0);  // accumulated
  const std::string message = message_of([&] { backward(y); });
  EXPECT_NE(message.find("the tape behind 'square' was already freed"), std::string::npos)
      << message;
}

TEST(Tape, TheGradientGrowsOverBackwardCallsUntilCleared) {
  const Tensor x = leaf(3.0);
  backward(square(x));
  const Tensor first = grad(x);
  backward(square(x));
  EXPECT_DOUBLE_EQ(grad(x).item(), 12.0);
  EXPECT_DOUBLE_EQ(first.item(), 6.0);  // who holds it does not see it change
  clear_grad(x);
  EXPECT_FALSE(grad(x).defined());
}

TEST(Tape, WithoutAHolderTheGradientIsAddedIntoInPlace) {
  const Tensor x = leaf(3.0);
  backward(square(x));
  const void* memory = grad(x).raw();
  backward(square(x));
  EXPECT_EQ(grad(x).raw(), memory);
}

TEST(Tape, SavedTensorsAreFreedByTheWalk) {
  Tensor x = uniform({1000});
  require_grad(x);
  const int64_t before = allocator::stats().in_use_bytes;
  const Tensor y = sum(exp(exp(x)));
  EXPECT_GE(allocator::stats().in_use_bytes, before + 16000);
  backward(y);
  clear_grad(x);
  EXPECT_LT(allocator::stats().in_use_bytes, before + 1000);  // y alone
}

TEST(Tape, NoGradRecordsNothingAndWithGradTurnsItOn) {
  Tensor x = uniform({2});
  require_grad(x);
  {
    const NoGrad guard;
    EXPECT_FALSE(recording());
    EXPECT_FALSE(requires_grad(square(x)));
    {
      const WithGrad inner;
      EXPECT_TRUE(has_history(square(x)));
    }
    EXPECT_FALSE(recording());
  }
  EXPECT_TRUE(has_history(square(x)));
}

TEST(Tape, StopGradientOfOneUseLeavesTheOther) {
  const Tensor x = leaf(3.0);
  backward(add(square(stop_gradient(x)), mul(x, 5.0)));
  EXPECT_DOUBLE_EQ(grad(x).item(), 5.0);
}

TEST(Tape, GradientsFlowThroughAFrozenParameter) {
  Tensor x = uniform({3}), w = uniform({3}, 0.5, 2, 2);
  require_grad(x);
  require_grad(w, true);
  require_grad(w, false);
  backward(sum(mul(x, w)));
  EXPECT_EQ(grad(x).to_vector<double>(), w.to_vector<double>());
  EXPECT_FALSE(grad(w).defined());
}

TEST(Tape, WantedTellsWhichInputsNeedAGradient) {
  Tensor x = uniform({2});
  const Tensor constant = uniform({2});
  require_grad(x);
  std::vector<bool> seen;
  backward(sum(record("mine", {constant, x, Tensor()}, uniform({2}),
                      [&seen](const Tensor& dy, const Wanted& wanted) {
                        seen = {wanted[0], wanted[1], wanted[2]};
                        return Gradients{Tensor(), dy, Tensor()};
                      })));
  EXPECT_EQ(seen, (std::vector<bool>{false, true, false}));
}

TEST(Tape, WrongClosuresAreNamed) {
  Tensor x = uniform({2});
  require_grad(x);
  const auto with = [&](const Gradients& result) {
    return message_of([&] {
      backward(sum(record("mine", {x}, uniform({2}), [&](const Tensor&) { return result; })));
    });
  };
  EXPECT_EQ(with({}), "backward of mine: 0 gradients for 1 inputs");
  EXPECT_EQ(with({uniform({3})}),
            "backward of mine: the gradient of input 0 has shape [3], the input [2]");
}

TEST(Tape, AGradientOfAnotherDtypeIsCastToItsInputs) {
  Tensor x = Tensor::zeros({2}, DType::bf16);
  require_grad(x);
  backward(
      sum(record("mine", {x}, Tensor::zeros({2}), [](const Tensor& dy) { return Gradients{dy}; })));
  EXPECT_EQ(grad(x).dtype(), DType::bf16);
}

TEST(Tape, RootsAndSeedsAreChecked) {
  Tensor x = uniform({2});
  require_grad(x);
  EXPECT_NE(message_of([&] { backward(square(x)); }).find("needs a seed"), std::string::npos);
  EXPECT_NE(message_of([&] { backward(sum(x), uniform({2})); }).find("seed of shape [2]"),
            std::string::npos);
  EXPECT_NE(message_of([&] { backward(sum(uniform({2}))); }).find("does not depend"),
            std::string::npos);
  EXPECT_THROW(require_grad(const_cast<Tensor&>(static_cast<const Tensor&>(square(x)))), Error);
  Tensor ids = Tensor::zeros({2}, DType::i64);
  EXPECT_THROW(require_grad(ids), Error);
}

TEST(Tape, ALeafMayBeTheRoot) {
  const Tensor x = leaf(3.0);
  backward(x);
  EXPECT_DOUBLE_EQ(grad(x).item(), 1.0);
}

// Destruction and the walk are loops, not recursions. (The sanitizers' frames are larger still.)
TEST(Tape, AChainOfAMillionNodes) {
  const Tensor x = leaf(1.0);
  {
    Tensor y = x;
    for (int i = 0; i < 1'000'000; ++i) y = add(y, 1.0);
    backward(y);
    EXPECT_DOUBLE_EQ(grad(x).item(), 1.0);
  }
  Tensor never_walked = x;
  for (int i = 0; i < 1'000'000; ++i) never_walked = add(never_walked, 1.0);
}

TEST(Tape, AChainOfAHundredThousandDiamonds) {
  const Tensor x = leaf(1.0);
  Tensor y = x;
  for (int i = 0; i < 100'000; ++i) y = mul(add(y, y), 0.5);
  backward(y);
  EXPECT_DOUBLE_EQ(grad(x).item(), 1.0);
}

class GradReady : public ::testing::Test {
 protected:
  void TearDown() override { set_grad_ready_hook({}); }
};

TEST_F(GradReady, FiresOnceForEachLeafAfterItsLastUse) {
  const Tensor early = leaf(2.0), late = leaf(3.0);
  std::vector<std::pair<Tensor, double>> ready;
  set_grad_ready_hook([&](const Tensor& x) { ready.emplace_back(x, grad(x).item()); });
  // `early` is used first and last; `late` in between, so its gradient is final before
  backward(mul(mul(square(early), late), early));  // early^3 late
  ASSERT_EQ(ready.size(), 2u);
  EXPECT_TRUE(ready[0].first.is_same(late));
  EXPECT_DOUBLE_EQ(ready[0].second, 8.0);
  EXPECT_TRUE(ready[1].first.is_same(early));
  EXPECT_DOUBLE_EQ(ready[1].second, 3 * 4.0 * 3.0);
}

TEST_F(GradReady, FiresForALeafBelowANodeThatNoGradientReached) {
  Tensor x = leaf(2.0), w = leaf(3.0);
  std::vector<Tensor> ready;
  set_grad_ready_hook([&](const Tensor& leaf) { ready.push_back(leaf); });
  const Tensor h = square(w);
  const Tensor y =
      record("ignores its second input", {x, h}, Tensor::scalar(1.0), [](const Tensor& dy) {
        return Gradients{dy, Tensor()};
      });
  backward(y);
  ASSERT_EQ(ready.size(), 2u);
  EXPECT_TRUE(ready[0].is_same(x));
  EXPECT_TRUE(ready[1].is_same(w));
  EXPECT_FALSE(grad(w).defined());
}

TEST_F(GradReady, FiresForALeafThatIsARoot) {
  const Tensor x = leaf(2.0);
  int fired = 0;
  set_grad_ready_hook([&](const Tensor&) { ++fired; });
  backward(x);
  EXPECT_EQ(fired, 1);
}

TEST(TapeObserver, SeesEveryOpForwardAndBackward) {
  const Tensor x = leaf(2.0);
  std::vector<std::string> seen;
  set_tape_observer(
      {.forward =
           [&](const char* op, const auto& inputs, const auto& outputs) {
             seen.push_back(fmt::format("{} {} {}", op, inputs.size(), outputs.size()));
           },
       .backward =
           [&](const char* op, const auto& of_outputs, const auto& of_inputs) {
             seen.push_back(fmt::format("d {} {} {}", op, of_outputs.size(), of_inputs.size()));
           }});
  backward(mul(square(x), x));
  set_tape_observer({});
  EXPECT_EQ(seen, (std::vector<std::string>{"square 1 1", "mul 2 1", "d mul 1 2", "d square 1 1"}));
}

}  // namespace
}  // namespace heed
