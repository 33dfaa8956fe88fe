// Diffusion processes and their samplers, against what is known exactly.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "autograd/ops/elementwise.h"
#include "nn/diffusion/sampler.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using testing::random_tensor;

TEST(DiffusionProcess, SchedulesAreThePublishedOnes) {
  const DiffusionProcess linear({.schedule = "linear"});
  EXPECT_EQ(linear.level(0).sigma, 0.0);
  EXPECT_NEAR(linear.level(0.001).sigma, std::sqrt(1e-4), 1e-15);
  // The product of 1 - beta_i, beta_i from 1e-4 to 0.02.
  double logarithm = 0;
  for (int i = 0; i < 1000; ++i) logarithm += std::log1p(-(1e-4 + i / 999.0 * (0.02 - 1e-4)));
  EXPECT_NEAR(linear.level(1).alpha, std::exp(logarithm / 2), 1e-12);
  EXPECT_NEAR(std::exp(logarithm), 4.04e-5, 0.01e-5);

  const DiffusionProcess cosine({.schedule = "cosine"});
  const auto f = [](double t) {
    return std::pow(std::cos((t + 0.008) / 1.008 * std::numbers::pi / 2), 2);
  };
  EXPECT_NEAR(std::pow(cosine.level(0.5).alpha, 2), f(0.5) / f(0), 1e-12);
  const DiffusionProcess flow({.schedule = "flow", .shift = 3});
  EXPECT_EQ(flow.level(0.25).alpha, 0.75);
  EXPECT_EQ(flow.level(0.25).sigma, 0.25);
  EXPECT_DOUBLE_EQ(flow.time_of(0.5), 0.75);
  for (const auto* process : {&linear, &cosine}) {
    EXPECT_EQ(process->time_of(0.0), 0.001);
    EXPECT_EQ(process->time_of(0.9999), 1.0);
    for (const double t : {0.1, 0.5, 1.0}) {
      const auto [alpha, sigma] = process->level(t);
      EXPECT_NEAR(alpha * alpha + sigma * sigma, 1.0, 1e-14);
    }
  }
}

// A perfect prediction tells both ends.
TEST(DiffusionProcess, EstimatesInvertTheTargets) {
  for (const DiffusionOptions& options :
       {DiffusionOptions{.schedule = "linear", .prediction = "noise"},
        DiffusionOptions{.schedule = "cosine", .prediction = "velocity"},
        DiffusionOptions{.schedule = "flow"}}) {
    const DiffusionProcess process(options);
    const Tensor x0 = random_tensor({2, 7}, "x0"), noise = random_tensor({2, 7}, "noise");
    Tensor noisy = Tensor::empty({2, 7}), target = Tensor::empty({2, 7});
    const auto level = process.level(0.4);
    process.noise_and_target(level, x0.data<float>(), noise.data<float>(), 14, noisy.data<float>(),
                             target.data<float>());
    const auto [back, again] = process.estimate(noisy, target, level);
    // Some four roundings, divided by alpha (0.45 at the least here).
    EXPECT_LT(testing::relative_distance(back, x0), 8 * 0x1p-24 / 0.4) << options.schedule;
    EXPECT_LT(testing::relative_distance(again, noise), 8 * 0x1p-24) << options.schedule;
  }
}

// Data that are normal with deviation s: the best prediction of the noise is linear in x, and
// samples must come out with that deviation. With many steps the error is that of the draws.
class Gaussian : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(Gaussian, SamplersReachTheDistribution) {
  const auto [schedule, type] = GetParam();
  constexpr double kDeviation = 0.3;
  constexpr int64_t kRows = 10, kWidth = 1000;
  const DiffusionProcess process({.schedule = schedule});
  const Denoiser model = [&](const Tensor& x, const Tensor& times, bool) {
    const auto [alpha, sigma] =
        process.level(static_cast<double>(times.to_vector<float>()[0]) / 1000.0);
    const double variance = alpha * alpha * kDeviation * kDeviation + sigma * sigma;
    const double noise = sigma / variance, x0 = alpha * kDeviation * kDeviation / variance;
    return mul(x, process.is_flow() ? noise - x0 : noise);
  };
  const Tensor samples = sample(process, {.type = type, .steps = 1000, .clip = false},
                                {kRows, kWidth}, {1, 2, 3}, model);
  double square = 0;
  for (const float value : samples.to_vector<float>()) {
    square += static_cast<double>(value) * static_cast<double>(value);
  }
  const double deviation = std::sqrt(square / (kRows * kWidth));
  // Four standard errors of the draws, and 2% for 1000 steps of a first-order method.
  EXPECT_NEAR(deviation / kDeviation, 1.0, 4 / std::sqrt(2.0 * kRows * kWidth) + 0.02);
}

INSTANTIATE_TEST_SUITE_P(Samplers, Gaussian,
                         ::testing::Values(std::pair("linear", "ddim"), std::pair("cosine", "ddim"),
                                           std::pair("linear", "ancestral"),
                                           std::pair("cosine", "ancestral"),
                                           std::pair("flow", "euler")));

// One data point: a perfect model leads every sampler exactly there.
TEST(Sampler, FindsASinglePoint) {
  for (const char* schedule : {"linear", "cosine", "flow"}) {
    const DiffusionProcess process({.schedule = schedule});
    const double point = 0.5;
    const Denoiser model = [&](const Tensor& x, const Tensor& times, bool) {
      const auto [alpha, sigma] =
          process.level(static_cast<double>(times.to_vector<float>()[0]) / 1000.0);
      const Tensor noise = mul(add(x, -alpha * point), 1.0 / sigma);
      return process.is_flow() ? add(noise, -point) : noise;
    };
    const Tensor found = sample(process, {.steps = 7}, {3, 5}, {1, 2, 3}, model);
    // The first step divides roundings by alpha: 0.0063 (linear), 1e-4 (cosine; there the clip
    // holds the estimate, and later steps find it), 0 for a flow, where x0 = x - prediction.
    for (const float value : found.to_vector<float>()) EXPECT_NEAR(value, point, 1e-4) << schedule;
  }
}

TEST(Sampler, SamplesDoNotDependOnTheirNumber) {
  const DiffusionProcess process({});
  const Denoiser model = [](const Tensor& x, const Tensor&, bool) { return mul(x, 0.9); };
  const SamplerOptions options{.type = "ancestral", .steps = 5};
  const Tensor few = sample(process, options, {2, 6}, {1, 2, 3}, model);
  const Tensor many = sample(process, options, {5, 6}, {1, 2, 3}, model);
  const auto a = few.to_vector<float>(), b = many.to_vector<float>();
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin()));
  const auto last = sample(process, options, {2, 6}, {1, 2, 3}, model, 3).to_vector<float>();
  EXPECT_TRUE(std::equal(last.begin(), last.end(), b.begin() + 18));
  EXPECT_FALSE(bitwise_equal(few, sample(process, options, {2, 6}, {1, 2, 4}, model)));
}

TEST(Sampler, GuidanceExtrapolates) {
  const DiffusionProcess process({.schedule = "flow"});
  // Velocities 1 with and 3 without labels: u + 2 (c - u) = -1, so that x = start + 1.
  const Denoiser model = [](const Tensor& x, const Tensor&, bool with) {
    return Tensor::full(x.shape(), with ? 1.0 : 3.0, DType::f32);
  };
  SamplerOptions options{.steps = 4, .clip = false};
  const auto plain = sample(process, options, {1, 9}, {1, 2, 3}, model).to_vector<float>();
  options.guidance = 2;
  const auto guided = sample(process, options, {1, 9}, {1, 2, 3}, model).to_vector<float>();
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_NEAR(guided[i] - plain[i], 2.0, 1e-5);
}

TEST(Sampler, SaysWhatDoesNotSuit) {
  const Denoiser model = [](const Tensor& x, const Tensor&, bool) { return x; };
  const auto refuses = [&](const char* schedule, const char* type) {
    EXPECT_THROW(
        sample(DiffusionProcess({.schedule = schedule}), {.type = type}, {1, 1}, {}, model),
        RequestError);
  };
  refuses("linear", "euler");
  refuses("flow", "ancestral");
  EXPECT_THROW(
      read_options<DiffusionOptions>(parse_yaml("{schedule: flow, prediction: noise}", "t"), "t"),
      RequestError);
}

}  // namespace
}  // namespace heed::nn
