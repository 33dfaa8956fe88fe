#include "recipes/engine/few_shot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "recipes/engine/describe.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/export.h"
#include "recipes/engine/measures/interval.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

using testing::HasSubstr;

const std::string kRecipe = HEED_SOURCE_DIR "/recipes/base/smoke-few-shot.yaml";

TEST(FewShot, LearnsToTellClassesApartThatItNeverSaw) {
  const Scratch folder;
  Recorder recorder;
  const EndReport end =
      train_file(kRecipe, folder.path("run"), {"train.steps=80"}, false, &recorder);
  EXPECT_LT(recorder.steps.back().loss, 0.5 * recorder.steps.front().loss);
  const double accuracy = *find_metric(end.metrics, "accuracy");
  const double interval = *find_metric(end.metrics, "accuracy_interval");
  EXPECT_GT(accuracy - interval, 1.0 / 3.0 + 0.15);  // chance is a third
  EXPECT_GT(interval, 0.0);
  EXPECT_GT(accuracy, *find_metric(end.baselines, "pixels.accuracy"));
  EXPECT_EQ(recorder.steps.back().items, 80 * 4 * 3 * 4);  // episodes of 3 classes, 4 images each
}

TEST(FewShot, EpisodesAreTheSameForEverySeedAndHaveTheirOwnSize) {
  const Scratch folder;
  train_file(kRecipe, folder.path("run"), {"train.steps=1", "schedule.warmup_steps=0"});
  const auto pixels = [&](const std::vector<std::string>& overrides) {
    return evaluate(folder.path("run"), overrides).baselines;
  };
  EXPECT_EQ(pixels({"seed=1"}), pixels({"seed=2"}));
  EXPECT_NE(pixels({"task.evaluation_shots=3"}), pixels({}));
  EXPECT_GT(pixels({"task.evaluation_shots=5"})[0].second, pixels({})[0].second);
  // 600 episodes of which 40 are asked for; a smaller sample has a wider interval
  EXPECT_GT(pixels({"task.episodes=8"})[1].second, pixels({"task.episodes=200"})[1].second);
  EXPECT_EQ(pixels({"task.episodes=8"}),
            pixels({"evaluation.max_batches=4", "evaluation.batch_size=2"}));
}

TEST(FewShot, ResumesBitForBit) {
  const Scratch folder;
  expect_exact_resume(kRecipe, folder.path(), 10);
}

TEST(FewShot, AccumulationSeesTheSameEpisodes) {
  const auto whole =
      make_task(load_recipe(kRecipe, {"train.batch_size=4", "train.accumulation=1"}));
  const auto parts =
      make_task(load_recipe(kRecipe, {"train.batch_size=1", "train.accumulation=4"}));
  for (int step = 0; step < 2; ++step) {
    const std::vector<int64_t> labels = whole->next_batch()["labels"].to_vector<int64_t>();
    ASSERT_EQ(labels.size(), 4u * 12u);
    std::vector<int64_t> one_by_one;
    for (int part = 0; part < 4; ++part) {
      const Batch batch = parts->next_batch();
      EXPECT_EQ(batch.count, 12);
      for (const int64_t label : batch["labels"].to_vector<int64_t>()) one_by_one.push_back(label);
    }
    EXPECT_EQ(one_by_one, labels);
    for (size_t i = 0; i < labels.size(); ++i) EXPECT_EQ(labels[i], labels[i / 4 * 4]);
  }
}

TEST(FewShot, WorksOnTextsAndCosines) {
  const Scratch folder;
  std::string rows;
  const char* const words[] = {"river", "stone", "cloud", "tree", "road", "wind"};
  for (int i = 0; i < 60; ++i) {
    rows += fmt::format("{},{} {}\n", i % 6, words[i % 6], words[(i * 7 + i / 6) % 6]);
  }
  folder.write("train.csv", rows);
  const std::string recipe = folder.write("texts.yaml", R"(
task: {type: few_shot, embedding: 8, ways: 3, queries: 2, episodes: 20, distance: cosine, scale: 10}
data: {type: text-table, train: [train.csv], validation: [train.csv], max_length: 4,
       tokenizer: {type: words, min_count: 1}}
model: {type: gru_classifier, dim: 8, hidden: 8, dropout: 0}
train: {steps: 40, batch_size: 2, log_every: 1, eval_every: 40}
optimizer: {type: adamw, lr: 2e-2}
)");
  const EndReport end = train_file(recipe, folder.path("run"));
  EXPECT_GT(*find_metric(end.metrics, "accuracy"), 0.6);
  EXPECT_THAT(
      request_error([&] { evaluate(folder.path("run"), {"evaluation.baselines=[pixels]"}); }),
      HasSubstr("no pixels"));
}

TEST(FewShot, DescribesAndExportsItself) {
  const Scratch folder;
  const Description d = describe(load_recipe(kRecipe));
  EXPECT_EQ(d.items_per_step, 2 * 2 * 3 * 4);
  EXPECT_GT(d.flops_per_step, 48.0 * 3 * 2 * 12 * 12 * 9 * 8 * 8);  // one of its convolutions
  train_file(kRecipe, folder.path("run"), {"train.steps=1", "schedule.warmup_steps=0"});
  export_model(folder.path("run"), folder.path("out"), "safetensors");
  EXPECT_EQ(read_json_file(folder.path("out/config.json")).at("classes").as_integer(), 16);
}

TEST(FewShot, RefusesWhatDoesNotFit) {
  EXPECT_THAT(
      build_error(kRecipe, {"task.evaluation_ways=4"}),
      HasSubstr("the validation part has 3 classes of 4 examples or more, and 4 are wanted"));
  EXPECT_THAT(build_error(kRecipe, {"task.queries=50"}),
              HasSubstr("the training part has 0 classes of 51 examples or more"));
  EXPECT_THAT(build_error(kRecipe, {"data.mixup=0.5"}), HasSubstr("task few_shot: no mixup"));
  EXPECT_THAT(build_error(kRecipe, {"data.repeats=2"}), HasSubstr("task few_shot: no repeats"));
  EXPECT_THAT(build_error(kRecipe, {"data.hold_out=0.1"}),
              HasSubstr("either images are held out or classes"));
  EXPECT_THAT(build_error(kRecipe, {"task.evaluation_ways=1"}), HasSubstr("two classes at least"));
}

TEST(IntervalMean, EqualsTheTextbook) {
  IntervalMean mean;
  EXPECT_TRUE(std::isnan(mean.mean()));
  mean.add(0.5);
  EXPECT_TRUE(std::isnan(mean.half_width()));
  mean.add(0.7);
  mean.add(0.9);
  EXPECT_DOUBLE_EQ(mean.mean(), 0.7);
  // deviation 0.2 of 3 values; Student's t of 2 degrees of freedom at 0.975 is 4.302652730
  EXPECT_NEAR(mean.half_width(), 4.302652730 * 0.2 / std::sqrt(3.0), 1e-8);
}

}  // namespace
}  // namespace heed::recipes
