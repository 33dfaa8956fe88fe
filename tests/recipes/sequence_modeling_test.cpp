#include "recipes/engine/sequence_modeling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "recipes/engine/evaluate.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

using testing::HasSubstr;

const std::string kRecipe = HEED_SOURCE_DIR "/recipes/base/recall.yaml";
const std::vector<std::string> kTiny = {
    "data={type: synthetic, task: copy, length: 8, symbols: 4, validation: 30}",
    "model={type: gpt, layers: 2, dim: 32, heads: 2}",
    "train={steps: 12, batch_size: 8, accumulation: 2, eval_every: 6, checkpoint_every: 4}",
    "schedule={type: constant}"};

std::vector<std::string> tiny(const std::vector<std::string>& more) {
  std::vector<std::string> all = kTiny;
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

TEST(SequenceModeling, ReadsKeysAndValuesSideBySide) {
  const Scratch folder;
  const EndReport end = train_file(
      kRecipe, folder.path("run"),
      {"data={type: synthetic, task: two_channel, length: 16, symbols: 8, pairs: 8, queries: 8, "
       "validation: 64}",
       "model={type: gpt, layers: 1, dim: 32, heads: 2, context: 16, position: none, init_std: "
       "0.2, tied: false}",
       "train.steps=300", "train.batch_size=32", "optimizer.lr=0.005"});
  EXPECT_GT(*find_metric(end.metrics, "accuracy"), 0.95) << "one layer looks a value up";
  const Recipe recipe = load_recipe(folder.path("run/recipe.yaml"));
  EXPECT_EQ(recipe.model.at("channels").as_integer(), 2);
}

TEST(SequenceModeling, LearnsToCopy) {
  const Scratch folder;
  Recorder recorder;
  const EndReport end =
      train_file(kRecipe, folder.path("run"), tiny({"train.steps=400", "train.eval_every=200"}),
                 false, &recorder);
  EXPECT_NEAR(recorder.steps.front().loss, std::log(7.0), 0.5) << "knows nothing of 7 tokens yet";
  EXPECT_GT(*find_metric(end.metrics, "accuracy"), 0.9);  // chance is 1 / 4
  EXPECT_LE(*find_metric(end.metrics, "example_accuracy"), *find_metric(end.metrics, "accuracy"));
  EXPECT_LT(*find_metric(end.metrics, "loss"), 0.5);
}

// Two layers have to work together: one finds the token before, the other where its key stood.
TEST(SequenceModeling, LearnsWhichValueBelongsToWhichKey) {
  const Scratch folder;
  const EndReport end =
      train_file(kRecipe, folder.path("run"),
                 {"data={type: synthetic, task: recall, length: 24, symbols: 16, validation: 200}",
                  "data.queries=8", "model.dim=32", "model.init_std=0.2", "optimizer.lr=0.005",
                  "schedule={type: constant}", "train.steps=800", "train.batch_size=32",
                  "train.eval_every=400"});
  EXPECT_GT(*find_metric(end.metrics, "accuracy"),
            0.95);  // guessing among those that occurred: 0.32
}

TEST(SequenceModeling, ResumesBitForBit) {
  const Scratch folder;
  expect_exact_resume(kRecipe, folder.path(), 6, kTiny);
}

TEST(SequenceModeling, EvaluationDoesNotDependOnTheBatchSize) {
  const Scratch folder;
  const EndReport end = train_file(kRecipe, folder.path("run"), kTiny);
  const auto at_once = evaluate(folder.path("run"), {"evaluation.batch_size=30"});
  const auto other = evaluate(folder.path("run"), {"evaluation.batch_size=7"});
  EXPECT_EQ(*find_metric(other.metrics, "accuracy"), *find_metric(at_once.metrics, "accuracy"));
  EXPECT_EQ(*find_metric(end.metrics, "accuracy"), *find_metric(at_once.metrics, "accuracy"));
  EXPECT_NEAR(*find_metric(other.metrics, "loss"), *find_metric(at_once.metrics, "loss"), 1e-5);
}

TEST(SequenceModeling, EveryTaskOfOneChannelTrains) {
  for (const char* task : {"recall", "passkey", "induction", "markov", "listops", "reverse"}) {
    const Scratch folder;
    const EndReport end = train_file(
        kRecipe, folder.path("run"),
        tiny({fmt::format("data={{type: synthetic, task: {}, length: 24, {}validation: 8}}", task,
                          std::string(task) == "listops" ? "" : "symbols: 16, "),
              "train.steps=2"}));
    EXPECT_TRUE(std::isfinite(*find_metric(end.metrics, "loss"))) << task;
  }
}

TEST(SequenceModeling, ListOpsIsClassifiedToo) {
  const Scratch folder;
  const EndReport end =
      train_file(kRecipe, folder.path("run"),
                 {"task={type: classification}",
                  "data={type: listops, length: 16, depth: 1, train: 400, validation: 60, test: 0}",
                  "model={type: gru_classifier, dim: 16, hidden: 32}",
                  "train={steps: 400, batch_size: 16, eval_every: 50, checkpoint_every: 50}",
                  "schedule={type: constant}"});
  EXPECT_GT(*find_metric(end.metrics, "accuracy"), 0.3);  // chance is 1 / 10
}

TEST(SequenceModeling, SaysWhatDoesNotFit) {
  EXPECT_THAT(build_error(kRecipe, {"data.task=two_channel", "model={type: gru_classifier}"}),
              HasSubstr("gru_classifier"));
  EXPECT_THAT(build_error(kRecipe, {"data.length=10"}), HasSubstr("24 places are needed"));
  EXPECT_THAT(build_error(kRecipe, {"model.context=10"}), HasSubstr("context of 10"));
  EXPECT_THAT(build_error(kRecipe, {"task.sampling=epochs"}), HasSubstr("the data are synthetic"));
  EXPECT_THAT(build_error(kRecipe, {"task.part=test"}), HasSubstr("no test part"));
  EXPECT_THAT(build_error(kRecipe, {"evaluation.baselines=[unigram]"}), HasSubstr("unigram"));
}

}  // namespace
}  // namespace heed::recipes
