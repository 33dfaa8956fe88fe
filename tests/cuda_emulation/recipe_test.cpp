// Recipes with `device: cuda`: the trainer as a whole, evaluation, samples and checkpoints too.
#include "recipes/engine/recipe.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "emulation_order.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

const std::string kSmoke = HEED_SOURCE_DIR "/recipes/base/smoke.yaml";
const std::vector<std::string> kShort = {
    "train.steps=6",   "train.eval_every=3",   "train.checkpoint_every=3",
    "samples.every=6", "samples.max_tokens=4", "evaluation.max_batches=2"};

std::vector<std::string> with(std::vector<std::string> overrides, const std::string& more) {
  overrides.push_back(more);
  return overrides;
}

// f32 sums in another order, through 6 updates of at most 0.003: the bound of training_test.cpp.
constexpr double kTolerance = 1e-4;

void expect_near(double got, double want, const std::string& what) {
  EXPECT_NEAR(got, want, kTolerance * want) << what;
}

TEST(EmulatedRecipe, TrainsAsOnTheCpu) {
  const Scratch folder;
  emulation::set_order(emulation::Order::ascending);
  Recorder cpu, cuda;
  train_file(kSmoke, folder.path("cpu"), kShort, false, &cpu);
  const int64_t before = emulation::launches();
  const EndReport end =
      train_file(kSmoke, folder.path("cuda"), with(kShort, "device=cuda"), false, &cuda);
  EXPECT_GT(emulation::launches() - before, 6 * 2 * 20) << "it ran on the device";
  ASSERT_EQ(cuda.steps.size(), 6u);
  EXPECT_LT(cuda.steps.back().loss, cuda.steps.front().loss);
  for (size_t i = 0; i < 6; ++i) {
    expect_near(cuda.steps[i].loss, cpu.steps[i].loss, fmt::format("loss of step {}", i + 1));
    expect_near(cuda.steps[i].grad_norm, cpu.steps[i].grad_norm,
                fmt::format("gradient norm of step {}", i + 1));
  }
  EXPECT_GT(cuda.steps.back().peak_bytes, 0);
  ASSERT_EQ(cuda.evals.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_EQ(cuda.evals[i].metrics.size(), cpu.evals[i].metrics.size());
    for (size_t m = 0; m < cuda.evals[i].metrics.size(); ++m) {
      expect_near(cuda.evals[i].metrics[m].second, cpu.evals[i].metrics[m].second,
                  cuda.evals[i].metrics[m].first);
    }
  }
  EXPECT_EQ(cuda.samples.size(), cpu.samples.size());

  // either device goes on from the other's checkpoint
  EXPECT_FALSE(read_checkpoint(end.checkpoint).ema.empty());
  std::vector<double> next;
  for (const std::string device : {"cpu", "cuda"}) {
    const std::string run = folder.path("on-" + device);
    std::filesystem::copy(folder.path("cuda"), run, std::filesystem::copy_options::recursive);
    std::vector<std::string> longer = with(kShort, "device=" + device);
    longer[0] = "train.steps=7";
    Recorder on;
    train_file(kSmoke, run, longer, true, &on);
    ASSERT_EQ(on.steps.size(), 1u);
    next.push_back(on.steps[0].loss);
  }
  expect_near(next[1], next[0], "loss of the step after a resumption");
}

TEST(EmulatedRecipe, ADeviceThatIsNotThereIsNamed) {
  const auto error = [](const std::string& device) {
    return request_error([&] { load_recipe(kSmoke, {"device=" + device}); });
  };
  EXPECT_EQ(error("cuda"), "no error");
  EXPECT_THAT(error("cuda:7"),
              AllOf(StartsWith("override 'device=cuda:7': "), HasSubstr("there is no cuda:7")));
}

}  // namespace
}  // namespace heed::recipes
