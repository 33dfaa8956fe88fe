// What a listener hears of ops, and of regions that are one.
#include "autograd/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "autograd/ops.h"
#include "autograd/tape.h"

namespace heed::trace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Names : Listener {
  std::vector<std::string> names;
  std::vector<Operation> operations;

  void heard(Operation operation) override {
    names.push_back(operation.name);
    operations.push_back(std::move(operation));
  }
  void limited(LimitedPattern) override {}
  bool follows(const Tensor& tensor) const override { return tensor.numel() == 3; }
};

const Tensor kX = Tensor::from<float>({1, 2, 3}, {3});

// A region of two ops.
Tensor as_one(const char* name, const Tensor& x) {
  AsOne one;
  const Tensor y = exp(square(x));
  one.report(name, {x}, {y}, {{"count", 2}});
  return y;
}

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Trace, HearsOpsWithWhatTheyTakeAndGive) {
  Names heard;
  {
    const Listening listening(heard);
    const Tensor y = mul(kX, 2.0);
    sum(y);
  }
  EXPECT_THAT(heard.names, ElementsAre("mul", "sum"));
  EXPECT_EQ(heard.operations[0].inputs[0].raw(), kX.raw());
  EXPECT_EQ(heard.operations[0].attributes.at("number").number(), 2.0);
  EXPECT_EQ(heard.operations[1].inputs[0].raw(), heard.operations[0].outputs[0].raw());
  exp(kX);
  EXPECT_EQ(heard.names.size(), 2u) << "the listener is gone";
}

TEST(Trace, AReportNeedsAListener) {
  EXPECT_FALSE(on());
  EXPECT_FALSE(follows(kX));
  EXPECT_THAT(error_of([] { report("exp", {kX}, {}); }), HasSubstr("'exp' is reported to no"));
}

TEST(Trace, ListenersLieWithinEachOther) {
  Names outer, inner;
  const Listening listening(outer);
  square(kX);
  {
    const Listening within(inner);
    exp(kX);
  }
  square(kX);
  EXPECT_THAT(outer.names, ElementsAre("square", "square"));
  EXPECT_THAT(inner.names, ElementsAre("exp"));
  EXPECT_TRUE(follows(kX));
}

TEST(Trace, AListenerIsOfItsThread) {
  Names heard;
  const Listening listening(heard);
  bool there = true;
  std::thread([&] {
    there = on();
    square(kX);
  }).join();
  EXPECT_FALSE(there);
  EXPECT_THAT(heard.names, IsEmpty());
}

TEST(TraceAsOne, ARegionIsHeardOfAsItsReport) {
  Names heard;
  const Listening listening(heard);
  const Tensor y = as_one("both", kX);
  square(y);
  EXPECT_THAT(heard.names, ElementsAre("both", "square"));
  EXPECT_EQ(heard.operations[0].attributes.at("count").integer(), 2);
  EXPECT_EQ(heard.operations[0].outputs[0].raw(), y.raw());
}

TEST(TraceAsOne, OneWithinAnotherIsAPartOfIt) {
  Names heard;
  const Listening listening(heard);
  {
    AsOne outer;
    EXPECT_TRUE(outer.on());
    EXPECT_FALSE(on()) << "what is within reports nothing";
    EXPECT_FALSE(follows(kX));
    {
      AsOne inner;
      EXPECT_FALSE(inner.on());
      const Tensor y = as_one("innermost", kX);
      inner.report("inner", {kX}, {y});
    }
    exp(kX);  // after an inner report, still within the outer region
    EXPECT_FALSE(on());
    outer.report("outer", {kX}, {kX});
    EXPECT_TRUE(on());
    EXPECT_FALSE(outer.on());
    exp(kX);
  }
  EXPECT_THAT(heard.names, ElementsAre("outer", "exp"));
}

// As a layer that runs in a loop does.
TEST(TraceAsOne, OneAfterAnotherAreHeardOfEach) {
  Names heard;
  const Listening listening(heard);
  Tensor y = kX;
  for (int i = 0; i < 3; ++i) y = as_one("step", y);
  EXPECT_THAT(heard.names, ElementsAre("step", "step", "step"));
  EXPECT_EQ(heard.operations[2].inputs[0].raw(), heard.operations[1].outputs[0].raw());
}

TEST(TraceAsOne, WithoutAReportOrByAnErrorTheRegionEndsUnheard) {
  Names heard;
  const Listening listening(heard);
  {
    AsOne one;
    square(kX);
  }
  EXPECT_TRUE(on());
  EXPECT_ANY_THROW({
    AsOne one;
    fail("within");
  });
  EXPECT_TRUE(on());
  exp(kX);
  EXPECT_THAT(heard.names, ElementsAre("exp"));
}

TEST(TraceAsOne, AReportOutOfPlaceIsAnError) {
  Names heard;
  for (const bool with_listener : {false, true}) {
    std::unique_ptr<Listening> listening;
    if (with_listener) listening = std::make_unique<Listening>(heard);
    EXPECT_THAT(error_of([] {
                  AsOne one;
                  one.report("first", {kX}, {kX});
                  one.report("again", {kX}, {kX});
                }),
                HasSubstr("'again' is the second report of one region"));
    EXPECT_THAT(error_of([] {
                  AsOne outer;
                  const AsOne inner;
                  outer.report("outer", {kX}, {kX});
                }),
                HasSubstr("'outer' is reported while a region within it is open"));
    EXPECT_EQ(on(), with_listener);
    EXPECT_THAT(error_of([] { as_one("sound", kX); }), "no error");
  }
  EXPECT_THAT(heard.names, ElementsAre("first", "sound"));
}

}  // namespace
}  // namespace heed::trace
