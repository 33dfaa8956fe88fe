#include "optim/ema.h"

#include <gtest/gtest.h>

#include "tests/samples.h"

namespace heed::optim {
namespace {

TEST(Ema, FollowsTheWeights) {
  for (const bool warmup : {false, true}) {
    const Tensor p = testing::normal({37}, "p0", DType::f32);
    Ema ema({{"p", p}}, {.decay = 0.5, .warmup = warmup});
    std::vector<double> expected = p.to_vector<double>();
    for (int n = 0; n < 5; ++n) {
      const auto next = testing::normal({37}, fmt::format("p{}", n), DType::f32);
      std::copy_n(next.data<float>(), 37, p.data<float>());
      ema.update();
      const double decay = warmup ? std::min(0.5, (1.0 + n) / (10.0 + n)) : 0.5;
      for (size_t i = 0; i < 37; ++i) {
        expected[i] = decay * expected[i] + (1 - decay) * double(next.data<float>()[i]);
      }
    }
    const auto average = ema.state_tensors()[0].second.to_vector<double>();
    // three roundings of values of at most 4 an update
    for (size_t i = 0; i < 37; ++i) EXPECT_NEAR(average[i], expected[i], 5 * 3 * 4 * 0x1p-24);
  }
}

TEST(Ema, SwapsInAndOutExactly) {
  const Tensor p = testing::normal({37}, "p", DType::f32);
  Ema ema({{"p", p}});
  const auto average = p.to_vector<float>();
  p.data<float>()[3] += 1;
  const auto trained = p.to_vector<float>();
  {
    const AveragedWeights averaged(&ema);
    EXPECT_EQ(p.to_vector<float>(), average);
    EXPECT_THROW(ema.update(), Error);
    EXPECT_THROW(ema.state_tensors(), Error);
  }
  EXPECT_EQ(p.to_vector<float>(), trained);
  const AveragedWeights nothing(nullptr);
}

TEST(Ema, GoesOnExactlyFromItsState) {
  const Tensor p = testing::normal({37}, "p", DType::f32);
  Ema one({{"p", p}});
  for (int i = 0; i < 3; ++i) {
    p.data<float>()[i] += 1;
    one.update();
  }
  Ema two({{"p", p}});
  two.load_state(one.state_tensors());
  p.data<float>()[9] += 1;
  one.update();
  two.update();
  EXPECT_EQ(one.state_tensors()[0].second.to_vector<float>(),
            two.state_tensors()[0].second.to_vector<float>());
  EXPECT_EQ(two.state_tensors()[1].second.item(), 4);
  EXPECT_THROW(two.load_state({{"q", p}}), RequestError);
}

}  // namespace
}  // namespace heed::optim
