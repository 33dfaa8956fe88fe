#include "optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace heed::optim {
namespace {

TEST(Schedule, WarmUpEndsAtThePeak) {
  for (const char* type : {"constant", "linear", "cosine", "polynomial", "wsd", "rsqrt"}) {
    const Schedule lr({.type = type, .warmup_steps = 9}, 2.0, 100);
    EXPECT_DOUBLE_EQ(lr(0), 0.2) << type;
    EXPECT_DOUBLE_EQ(lr(4), 1.0) << type;
    EXPECT_DOUBLE_EQ(lr(9), 2.0) << type;
  }
}

TEST(Schedule, ClosedForms) {
  const Schedule constant({.type = "constant"}, 2.0, 100);
  EXPECT_EQ(constant(0), 2.0);
  EXPECT_EQ(constant(1000), 2.0);

  const Schedule linear({.type = "linear", .warmup_steps = 20, .min_lr = 1.0}, 2.0, 100);
  EXPECT_DOUBLE_EQ(linear(60), 1.5);
  EXPECT_DOUBLE_EQ(linear(100), 1.0);
  EXPECT_DOUBLE_EQ(linear(500), 1.0);

  const Schedule polynomial({.type = "polynomial", .warmup_steps = 20, .min_lr = 1.0, .power = 2.0},
                            2.0, 100);
  EXPECT_DOUBLE_EQ(polynomial(20), 2.0);
  EXPECT_DOUBLE_EQ(polynomial(60), 1.25);
  EXPECT_DOUBLE_EQ(polynomial(100), 1.0);
  EXPECT_DOUBLE_EQ(polynomial(500), 1.0);

  // nanoGPT's setting
  const Schedule cosine({.type = "cosine", .warmup_steps = 100, .min_lr = 1e-4}, 1e-3, 2000);
  EXPECT_DOUBLE_EQ(cosine(0), 1e-3 / 101);
  EXPECT_DOUBLE_EQ(cosine(100), 1e-3);
  EXPECT_NEAR(cosine(1050), 5.5e-4, 1e-18);
  EXPECT_NEAR(cosine(575), 1e-4 + 9e-4 * (2 + std::sqrt(2.0)) / 4, 1e-18);
  EXPECT_DOUBLE_EQ(cosine(2000), 1e-4);

  const Schedule rsqrt({.type = "rsqrt", .warmup_steps = 99, .min_lr = 0.3}, 2.0, 0);
  EXPECT_DOUBLE_EQ(rsqrt(399), 1.0);
  EXPECT_DOUBLE_EQ(rsqrt(1000000), 0.3);
  // The routing transformer's: no warm-up, the peak for 10,000 steps.
  const Schedule held({.type = "rsqrt", .hold_steps = 10000}, 0.01, 0);
  for (const int64_t step : {0, 1, 9999, 10000}) EXPECT_DOUBLE_EQ(held(step), 0.01) << step;
  EXPECT_DOUBLE_EQ(held(40000), 0.005);

  const Schedule step({.type = "step", .milestones = {30, 60}, .gamma = 0.5}, 2.0, 100);
  EXPECT_EQ(step(29), 2.0);
  EXPECT_EQ(step(30), 1.0);
  EXPECT_EQ(step(60), 0.5);
}

TEST(Schedule, WarmUpStableDecay) {
  for (const auto& [shape, half] : {std::pair{"linear", 1.0}, std::pair{"cosine", 1.0},
                                    std::pair{"sqrt", 2.0 * (1.0 - std::sqrt(0.5))}}) {
    const Schedule lr({.type = "wsd", .warmup_steps = 10, .decay_steps = 40, .decay_shape = shape},
                      2.0, 100);
    EXPECT_EQ(lr(10), 2.0);
    EXPECT_EQ(lr(60), 2.0);
    EXPECT_NEAR(lr(80), half, 1e-15) << shape;
    EXPECT_NEAR(lr(100), 0.0, 1e-15);
  }
  const Schedule fifth({.type = "wsd"}, 2.0, 100);
  EXPECT_EQ(fifth(80), 2.0);
  EXPECT_DOUBLE_EQ(fifth(90), 1.0);
}

TEST(Schedule, ContradictionsAreErrors) {
  EXPECT_THROW(Schedule({.min_lr = 0.1}, 0.01, 100), RequestError);
  EXPECT_THROW(Schedule({.warmup_steps = 100}, 1.0, 100), RequestError);
  EXPECT_THROW(Schedule({.type = "wsd", .warmup_steps = 70, .decay_steps = 40}, 1.0, 100),
               RequestError);
  for (const char* bad : {"type: cosin", "warmup_steps: -1", "type: step",
                          "{type: step, milestones: [5, 3]}", "{warmup: 5}"}) {
    EXPECT_THROW(read_options<ScheduleOptions>(parse_yaml(bad, "r.yaml"), "schedule", {}),
                 RequestError)
        << bad;
  }
}

}  // namespace
}  // namespace heed::optim
