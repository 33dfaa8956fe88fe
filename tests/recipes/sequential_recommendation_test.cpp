#include "recipes/engine/sequential_recommendation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "recipes/engine/evaluate.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Users who walk round a ring of 12 items: what comes next is certain.
std::string write_ring(const Scratch& folder) {
  std::string users;
  for (int user = 0; user < 40; ++user) {
    for (int step = 0; step < 5 + user % 4; ++step) {
      users += std::to_string(1 + (user + step) % 12) + " ";
    }
    users += "\n";
  }
  folder.write("users.txt", users);
  return folder.write("ring.yaml", R"(
name: ring
seed: 3
task: {type: sequential_recommendation, k: [1, 5]}
data: {type: user-items, file: users.txt, format: sequences}
model: {type: sequential_recommender, context: 8, layers: 1, dim: 16, dropout: 0.1,
        attention_dropout: 0}
train: {steps: 150, batch_size: 20, log_every: 1, eval_every: 50, checkpoint_every: 50}
optimizer: {type: adam, lr: 1e-2}
schedule: {type: constant}
evaluation: {batch_size: 16, baselines: [popularity]}
)");
}

TEST(SequentialRecommendation, LearnsWhatComesNextAndBeatsPopularity) {
  const Scratch folder;
  const std::string recipe = write_ring(folder);
  for (const char* loss : {"cross_entropy", "bce"}) {
    const EndReport end =
        train_file(recipe, folder.path(loss),
                   {fmt::format("task.loss={}", loss), "task.negatives=4", "train.steps=600"});
    EXPECT_EQ(end.metrics.front().first, "loss");
    EXPECT_GT(*find_metric(end.metrics, "recall@1"), 0.9) << loss;
    EXPECT_LT(*find_metric(end.baselines, "popularity.recall@1"), 0.4) << loss;
    // The last items follow the same rule.
    const Evaluation test = evaluate(folder.path(loss), {"task.part=test"});
    EXPECT_GT(*find_metric(test.metrics, "recall@1"), 0.9) << loss;
    EXPECT_GE(*find_metric(test.metrics, "recall@5"), *find_metric(test.metrics, "recall@1"));
  }
}

TEST(SequentialRecommendation, KnowsNothingAtFirst) {
  const Scratch folder;
  Recorder recorder;
  train_file(write_ring(folder), folder.path("run"), {"train.steps=1"}, false, &recorder);
  EXPECT_NEAR(recorder.steps.front().loss, std::log(12.0), 0.1);
}

TEST(SequentialRecommendation, BatchesArePackedToTheLongestRow) {
  const Scratch folder;
  const std::string recipe = write_ring(folder);
  const auto task = make_task(load_recipe(recipe, {"train.batch_size=40", "task.loss=bce"}));
  const Batch batch = task->next_batch();
  // Users have 5 to 8 items: 3 to 6 in training, 2 to 5 of them with a next one.
  EXPECT_EQ(batch["items"].shape(), (Shape{40, 5}));
  EXPECT_EQ(batch["targets"].shape(), (Shape{40, 5}));
  EXPECT_EQ(batch["negatives"].shape(), (Shape{40, 5, 1}));
  EXPECT_EQ(batch.count, 10 * (2 + 3 + 4 + 5));
  const int64_t* items = batch["items"].data<int64_t>();
  const int64_t* targets = batch["targets"].data<int64_t>();
  const int64_t* negatives = batch["negatives"].data<int64_t>();
  for (int64_t i = 0; i < 200; ++i) {
    EXPECT_EQ(targets[i], items[i] == 0 ? 0 : items[i] % 12 + 1);
    EXPECT_EQ(negatives[i] == 0, items[i] == 0);
    if (i % 5 > 0 && items[i - 1] == 0) {
      EXPECT_EQ(items[i], 0) << "padding in front of an item";
    }
  }
}

TEST(SequentialRecommendation, EvaluationDoesNotDependOnTheBatchSize) {
  const Scratch folder;
  train_file(write_ring(folder), folder.path("run"), {"train.steps=20"});
  const Evaluation a = evaluate(folder.path("run"), {"evaluation.batch_size=7"});
  const Evaluation b = evaluate(folder.path("run"), {"evaluation.batch_size=40"});
  ASSERT_EQ(a.metrics.size(), b.metrics.size());
  for (size_t i = 0; i < a.metrics.size(); ++i) {
    EXPECT_NEAR(a.metrics[i].second, b.metrics[i].second, 1e-5) << a.metrics[i].first;
  }
}

TEST(SequentialRecommendation, PopularityIsMeasuredOnTheSameUsers) {
  const Scratch folder;
  const std::string recipe = write_ring(folder);
  const auto task = make_task(load_recipe(recipe));
  const auto measured = [&](const EvaluationOptions& options) {
    return *find_metric(task->baselines(options), "popularity.recall@5");
  };
  EvaluationOptions options{.batch_size = 5, .baselines = {"popularity"}};
  const data::UserItems users = data::read_user_items({.file = folder.path("users.txt")});
  const auto of_first = [&](int64_t count) {
    return data::score_popularity(users, data::Part::validation, 5, count).recall;
  };
  EXPECT_EQ(measured(options), of_first(40));
  options.max_batches = 3;
  EXPECT_EQ(measured(options), of_first(15));
  EXPECT_NE(of_first(15), of_first(40)) << "the test could not fail";
  options.max_batches = 100;
  EXPECT_EQ(measured(options), of_first(40));
}

TEST(SequentialRecommendation, ResumesBitForBit) {
  const Scratch folder;
  const std::string recipe = write_ring(folder);
  for (const char* loss : {"task.loss=cross_entropy", "task.loss=bce"}) {
    expect_exact_resume(recipe, folder.path(loss), 7,
                        {"train.steps=12", "train.checkpoint_every=4", loss});
  }
}

TEST(SequentialRecommendation, ComputesInBf16) {
  const Scratch folder;
  const EndReport end =
      train_file(write_ring(folder), folder.path("run"), {"train.precision=bf16"});
  EXPECT_GT(*find_metric(end.metrics, "recall@1"), 0.8);
}

TEST(SequentialRecommendation, SmokeRecipeBeatsPopularity) {
  const Scratch folder;
  const EndReport end = train_file(
      std::string(HEED_SOURCE_DIR) + "/recipes/base/sequences-smoke.yaml", folder.path("run"));
  EXPECT_GT(*find_metric(end.metrics, "ndcg@10"),
            1.5 * *find_metric(end.baselines, "popularity.ndcg@10"));
}

TEST(SequentialRecommendation, EveryRecommenderLearns) {
  const Scratch folder;
  const std::string recipe = write_ring(folder);
  for (const char* model :
       {"model={type: multi_query_recommender, context: 8, dim: 16, dropout: 0.1}",
        "model={type: recurrent_recommender, context: 8, dim: 16, hidden: 16, dropout: 0.0}"}) {
    const EndReport end = train_file(recipe, folder.path(model), {model});
    EXPECT_GT(*find_metric(end.metrics, "recall@1"), 0.8) << model;
  }
}

TEST(SequentialRecommendation, TransitionsAreTaughtOnTop) {
  const Scratch folder;
  const std::string recipe = write_ring(folder);
  const auto loss_at = [&](const char* name, std::vector<std::string> overrides) {
    overrides.insert(overrides.end(), {"train.steps=40", "optimizer.lr=0.003"});
    return *find_metric(train_file(recipe, folder.path(name), overrides).metrics, "loss");
  };
  const double plain = loss_at("plain", {});
  const double taught = loss_at("taught", {"task.transitions={weight: 0.3}"});
  const double wrong = loss_at("wrong", {"task.transitions={weight: 0.3, shuffled: true}"});
  EXPECT_NE(taught, plain);
  EXPECT_LT(taught, 0.95 * wrong) << "in a ring, transitions tell all";
  expect_exact_resume(
      recipe, folder.path("resumed"), 7,
      {"train.steps=12", "train.checkpoint_every=4", "task.transitions={weight: 0.3, span: 2}"});
}

TEST(SequentialRecommendation, RefusesWhatDoesNotFit) {
  const Scratch folder;
  const std::string recipe = write_ring(folder);
  EXPECT_THAT(build_error(recipe, {"model={type: gpt}"}),
              HasSubstr("model 'gpt' is not a recommender"));
  EXPECT_THAT(build_error(recipe, {"data={type: cpp-headers}"}),
              HasSubstr("'cpp-headers' holds no users' items"));
  EXPECT_THAT(build_error(recipe, {"model.items=5"}), HasSubstr("5 items, but the data have 12"));
  EXPECT_THAT(build_error(recipe, {"evaluation.baselines=[unigram]"}), HasSubstr("popularity"));
  EXPECT_THAT(build_error(recipe, {"task.k=[0]"}), HasSubstr("'k[0]' must be >= 1"));
}

}  // namespace
}  // namespace heed::recipes
