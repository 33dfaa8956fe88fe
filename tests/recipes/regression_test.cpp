#include "recipes/engine/regression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "recipes/engine/evaluate.h"
#include "tests/recipes/runs.h"
#include "tests/recipes/tiny_images.h"

namespace heed::recipes {
namespace {

using testing::HasSubstr;

/// The gratings' angle class as a number with a mean of 17.5 and steps of 5.
const std::vector<std::string> kAngles = {
    "task={type: regression, targets: [0, 5, 10, 15, 20, 25, 30, 35]}",
    "evaluation.baselines=[mean]"};

TEST(Regression, LearnsNumbersAndComparesWithTheirMean) {
  const Scratch folder;
  std::vector<std::string> overrides = kAngles;
  overrides.push_back("train.steps=120");
  const EndReport end = train_file(write_tiny_images(folder), folder.path("run"), overrides);
  // The validation part holds every class five times: variance 25 (8^2 - 1) / 12.
  EXPECT_NEAR(*find_metric(end.baselines, "mean.rmse"), std::sqrt(25.0 * 63 / 12), 1e-9);
  EXPECT_DOUBLE_EQ(*find_metric(end.baselines, "mean.mae"), 10.0);
  EXPECT_NEAR(*find_metric(end.baselines, "mean.r2"), 0.0, 1e-12);
  EXPECT_GT(*find_metric(end.metrics, "r2"), 0.2);
  const double rmse = *find_metric(end.metrics, "rmse");
  EXPECT_NEAR(*find_metric(end.metrics, "r2"), 1.0 - rmse * rmse / (25.0 * 63 / 12), 1e-9);
  EXPECT_NEAR(*find_metric(end.metrics, "loss"), rmse * rmse / (25.0 * 63 / 12), 1e-9);
}

TEST(Regression, ResumesBitForBitAndKeepsItsScale) {
  const Scratch folder;
  expect_exact_resume(write_tiny_images(folder), folder.path("runs"), 7, kAngles);
  const Metrics before = evaluate(folder.path("runs/whole")).metrics;
  // Other training examples do not change what the outputs mean.
  EXPECT_EQ(evaluate(folder.path("runs/whole"), {"data.train=121"}).metrics, before);
}

TEST(Regression, SmokeRecipeBeatsTheMean) {
  const Scratch folder;
  const EndReport end =
      train_file(HEED_SOURCE_DIR "/recipes/base/smoke-regression.yaml", folder.path("run"));
  EXPECT_LT(*find_metric(end.metrics, "rmse"), *find_metric(end.baselines, "mean.rmse"));
}

TEST(Regression, LossesAreThoseOfTheirNames) {
  const Scratch folder;
  const std::string recipe = write_tiny_images(folder);
  for (const char* loss : {"mse", "l1", "huber"}) {
    std::vector<std::string> overrides = kAngles;
    overrides.push_back(fmt::format("task.loss={}", loss));
    const auto task = make_task(load_recipe(recipe, overrides));
    task->module().initialise(1);
    task->module().eval();
    const Batch batch = task->next_batch();
    auto& model = dynamic_cast<Regression&>(*task).model();
    const std::vector<float> outputs = model.forward(batch["x"]).to_vector<float>();
    const std::vector<int64_t> labels = batch["labels"].to_vector<int64_t>();
    double expected = 0.0;
    for (size_t i = 0; i < labels.size(); ++i) {
      const double target =
          (5.0 * static_cast<double>(labels[i]) - 17.5) / std::sqrt(25.0 * 63 / 12);
      const double error = std::abs(outputs[i] - target);
      expected += loss == std::string("mse")  ? error * error
                  : loss == std::string("l1") ? error
                  : error <= 1.0              ? error * error / 2
                                              : error - 0.5;
    }
    expected /= static_cast<double>(labels.size());
    EXPECT_NEAR(task->loss(batch).item(), expected, 1e-5 * expected) << loss;
  }
}

TEST(Regression, ReadsNumbersFromTheClassesNames) {
  const Scratch folder;
  folder.write("scores.csv", "1.5,good\n-2,bad\n1.5,good good\n0,so\n");
  const std::string recipe = folder.write("scores.yaml", R"(
task: {type: regression}
data: {type: text-table, train: [scores.csv], tokenizer: {type: words, min_count: 1}}
model: {type: gru_classifier, dim: 4, hidden: 4}
train: {steps: 2, batch_size: 4}
)");
  EXPECT_EQ(train_file(recipe, folder.path("run")).step, 2);
  EXPECT_THAT(build_error(recipe, {"data.classes=[low, mid, high]"}),
              HasSubstr("the class 'low' is no number; give `targets`"));
}

TEST(Regression, RefusesWrongTargets) {
  const Scratch folder;
  const std::string recipe = write_tiny_images(folder);
  EXPECT_THAT(
      build_error(recipe, {"task={type: regression, targets: [1, 2]}", "evaluation.baselines=[]"}),
      HasSubstr("2 targets, but the data has 8 classes"));
  EXPECT_THAT(build_error(recipe, {"task={type: regression, targets: [1, 1, 1, 1, 1, 1, 1, 1]}",
                                   "evaluation.baselines=[]"}),
              HasSubstr("the training targets are all equal"));
}

}  // namespace
}  // namespace heed::recipes
