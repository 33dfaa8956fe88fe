#include "recipes/engine/answer_modeling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "recipes/engine/evaluate.h"
#include "recipes/engine/generate.h"
#include "recipes/engine/measures/answers.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

using testing::HasSubstr;

const std::string kRecipe = HEED_SOURCE_DIR "/recipes/base/smoke-seq2seq.yaml";
const std::vector<std::string> kModel = {
    "task={type: language_modeling}",
    "model={type: gpt, layers: 2, dim: 32, heads: 2, init_std: 0.15}"};

std::vector<std::string> with(std::vector<std::string> more) {
  more.insert(more.begin(), kModel.begin(), kModel.end());
  return more;
}

TEST(AnswerModeling, JoinsSourceAndTarget) {
  data::PairBatch pairs;
  pairs.ids = Tensor::from(std::vector<int64_t>{5, 6, 7, 8, 0, 0, 0, 0, 0}, {3, 3});
  pairs.lengths = Tensor::from(std::vector<int64_t>{3, 1, 1}, {3});
  const int64_t no = data::kIgnoreTarget;
  pairs.targets = Tensor::from(std::vector<int64_t>{1, 9, no, 2, 3, 9, no, no, no}, {3, 3});
  pairs.count = 5;
  const data::Batch batch = joined(pairs, 9);
  EXPECT_EQ(batch.inputs.shape(), (Shape{3, 5}));
  EXPECT_EQ(batch.inputs.to_vector<int64_t>(),
            (std::vector<int64_t>{5, 6, 7, 9, 1, 8, 9, 2, 3, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(batch.targets.to_vector<int64_t>(),
            (std::vector<int64_t>{no, no, no, 1, 9, no, 2, 3, 9, no, no, no, no, no, no}));
  EXPECT_EQ(batch.count, 5);
}

TEST(Answers, CountTargetsAndWholeExamples) {
  const int64_t no = data::kIgnoreTarget;
  // Three classes; the likeliest are 2, 0 | 1, 1 | 0, 0.
  const Tensor logits = Tensor::from(
      std::vector<float>{0, 0, 9, 9, 0, 0, 0, 9, 0, 0, 9, 0, 9, 0, 0, 9, 0, 0}, {3, 2, 3});
  const Tensor targets = Tensor::from(std::vector<int64_t>{2, 0, 1, 2, no, 1}, {3, 2});
  Answers answers;
  answers.add(logits, targets, 2);  // the third row is padding
  const auto alone = self_communicator();
  const Metrics metrics = answers.metrics(*alone);
  EXPECT_DOUBLE_EQ(*find_metric(metrics, "accuracy"), 0.75);
  EXPECT_DOUBLE_EQ(*find_metric(metrics, "example_accuracy"), 0.5);
  EXPECT_NEAR(*find_metric(metrics, "loss"), 9.0 / 4 + std::log(1 + 2 * std::exp(-9.0)), 1e-5);
  EXPECT_TRUE(Answers().metrics(*alone).empty());
}

TEST(AnswerModeling, LearnsAndWritesWhatItLearnt) {
  const Scratch folder;
  const EndReport end = train_file(
      kRecipe, folder.path("run"),
      with({"data={type: synthetic-pairs, task: reverse, length: 4, symbols: 4, train: 3000, "
            "validation: 60, test: 0}",
            "train={steps: 400, batch_size: 32, accumulation: 1, ema: 0, eval_every: 200}",
            "optimizer.lr=0.003", "schedule={type: constant}"}));
  EXPECT_GT(*find_metric(end.metrics, "example_accuracy"), 0.8);
  EXPECT_GT(*find_metric(end.metrics, "accuracy"), 0.9);
  const Generated text =
      generate(folder.path("run"), "abcd", {.max_tokens = 8, .temperature = 0.0});
  EXPECT_EQ(text.text, "dcba");
  EXPECT_EQ(text.stopped_by, "end");
  EXPECT_EQ(text.prompt_tokens, 5) << "the source and its end";
}

TEST(AnswerModeling, ResumesBitForBit) {
  const Scratch folder;
  expect_exact_resume(kRecipe, folder.path(), 7, kModel);
}

TEST(AnswerModeling, EvaluationDoesNotDependOnTheBatchSize) {
  const Scratch folder;
  train_file(kRecipe, folder.path("run"), kModel);
  const Metrics a = evaluate(folder.path("run"), {"evaluation.batch_size=30"}).metrics;
  const Metrics b = evaluate(folder.path("run"), {"evaluation.batch_size=7"}).metrics;
  ASSERT_EQ(a.size(), 3u);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i].second, b[i].second, 1e-5) << a[i].first;
  EXPECT_NE(evaluate(folder.path("run"), {"task.part=test"}).metrics, a);
}

TEST(AnswerModeling, LearnedPositionsMustReach) {
  EXPECT_THAT(build_error(kRecipe, with({"model.context=4"})),
              HasSubstr("a context of 4 for pairs"));
}

TEST(AnswerModeling, RefusesOptionsThatMeanNothingWithPairs) {
  EXPECT_THAT(build_error(kRecipe, with({"task.sampling=epochs"})),
              HasSubstr("the data are pairs"));
  EXPECT_THAT(build_error(kRecipe, with({"task.smoothing=0.1"})), HasSubstr("smoothing"));
  EXPECT_THAT(build_error(kRecipe, with({"data.test=0", "task.part=test"})),
              HasSubstr("no test part"));
}

}  // namespace
}  // namespace heed::recipes
