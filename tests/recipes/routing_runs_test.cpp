// The routing transformer as a recipe: what its layers add to the loss is reported, and what they
// remember is part of a run.
#include <gtest/gtest.h>

#include "recipes/engine/generate.h"
#include "tests/recipes/runs.h"
#include "tests/recipes/scratch.h"

namespace heed::recipes {
namespace {

const std::string kRecipe = HEED_SOURCE_DIR "/recipes/routing-transformer/text.yaml";

/// The recipe in a second.
std::vector<std::string> tiny(std::vector<std::string> more = {}) {
  std::vector<std::string> overrides = {"model.context=24",
                                        "model.layers=2",
                                        "model.dim=16",
                                        "model.clusters=3",
                                        "model.window=8",
                                        "model.block=6",
                                        "model.relative=5",
                                        "train.steps=8",
                                        "train.eval_every=4",
                                        "train.log_every=1",
                                        "train.batch_size=4",
                                        "train.checkpoint_every=4",
                                        "evaluation.baselines=[]",
                                        "evaluation.max_batches=2",
                                        "schedule={type: constant}"};
  overrides.insert(overrides.end(), more.begin(), more.end());
  return overrides;
}

TEST(RoutingRuns, TheCommitmentIsReportedBesideTheLoss) {
  const Scratch scratch;
  Recorder with, without;
  train_file(kRecipe, scratch.path("with"), tiny({"model.commitment=0.1"}), false, &with);
  train_file(kRecipe, scratch.path("without"), tiny({"model.commitment=0"}), false, &without);
  ASSERT_EQ(with.evals.size(), 2u);
  const double* extra = find_metric(with.evals[0].metrics, "extra_loss");
  ASSERT_NE(extra, nullptr);
  EXPECT_GT(*extra, 0.0);
  EXPECT_EQ(find_metric(without.evals[0].metrics, "extra_loss"), nullptr);
  // The first step's loss, before any update, has it on top.
  EXPECT_GT(with.steps[0].loss, without.steps[0].loss);
  for (const StepReport& step : with.steps) EXPECT_TRUE(std::isfinite(step.loss));
}

TEST(RoutingRuns, ARunThatGoesOnIsTheRunThatNeverStopped) {
  const Scratch scratch;
  const auto overrides = tiny({"model.dropout=0.1", "model.token_dropout=0.1"});
  train_file(kRecipe, scratch.path("whole"), overrides);
  Recorder cut;
  cut.after_step = [](const StepReport& report) {
    if (report.step == 6) throw Crash();
  };
  EXPECT_THROW(train_file(kRecipe, scratch.path("cut"), overrides, false, &cut), Crash);
  train_file(kRecipe, scratch.path("cut"), overrides, true);
  expect_same_run(scratch.path("whole"), scratch.path("cut"));
}

TEST(RoutingRuns, TextGoesOnByBothSelections) {
  const Scratch scratch;
  for (const char* select : {"top", "own"}) {
    const std::string run = scratch.path(select);
    train_file(kRecipe, run, tiny({fmt::format("model.select={}", select)}));
    GenerateOptions options;
    options.max_tokens = 40;  // beyond the context
    EXPECT_FALSE(generate(run, "The ", options).text.empty()) << select;
  }
}

}  // namespace
}  // namespace heed::recipes
