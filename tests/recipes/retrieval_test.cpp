#include "recipes/engine/retrieval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "recipes/engine/evaluate.h"
#include "recipes/engine/measures/retrieval.h"
#include "tests/recipes/runs.h"
#include "tests/samples.h"

namespace heed::recipes {
namespace {

using ::testing::HasSubstr;

const std::string kRecipe = HEED_SOURCE_DIR "/recipes/base/smoke-retrieval.yaml";

// Manning, Raghavan & Schuetze, Introduction to Information Retrieval, section 8.4: precision at
// the rank of each relevant document, averaged.
TEST(RetrievalMeasures, ByHand) {
  RetrievalMeasures measures({1, 2, 5});
  // ranks of the relevant ones: 1, 3 and 4
  measures.add(std::vector<float>{9, 8, 7, 6, 5}, {true, false, true, true, false});
  EXPECT_DOUBLE_EQ(measures.means()[0].second, (1.0 + 2.0 / 3.0 + 3.0 / 4.0) / 3.0);
  EXPECT_EQ(measures.means()[1].second, 1.0);
  // equal similarities: the first comes first; the query itself is no item
  measures.add(std::vector<float>{1, 2, 2, 2}, {true, true, false, true}, 1);
  EXPECT_DOUBLE_EQ(measures.means()[0].second,
                   ((1.0 + 2.0 / 3.0 + 3.0 / 4.0) / 3.0 + (1.0 / 2.0 + 2.0 / 3.0) / 2.0) / 2.0);
  EXPECT_EQ(measures.means()[1].second, 0.5);  // recall@1
  EXPECT_EQ(measures.means()[2].second, 1.0);  // recall@2
  EXPECT_EQ(measures.means()[2].first, "recall@2");
  // without a relevant item a query counts nowhere
  measures.add(std::vector<float>{1, 2}, {false, true}, 1);
  EXPECT_EQ(measures.count(), 2.0);
  EXPECT_THROW(measures.add(std::vector<float>{NAN, 1}, {true, true}), Error);
  EXPECT_TRUE(std::isnan(RetrievalMeasures({1}).means()[0].second));
}

// Each query against the definition, counted anew for every relevant item.
TEST(RetrievalMeasures, EqualTheDefinitionOnRandomGalleries) {
  RetrievalMeasures measures({1, 3});
  double precision = 0.0, first = 0.0, among = 0.0;
  for (int query = 0; query < 30; ++query) {
    const int64_t items = 2 + query;
    const std::string name = std::to_string(query);
    const auto scores =
        testing::integers({items}, 5, "scores" + name).to_vector<float>();  // with ties
    const auto kinds = testing::integers({items}, 3, "kinds" + name).to_vector<int64_t>();
    std::vector<bool> relevant;
    for (const int64_t kind : kinds) relevant.push_back(kind == 0);
    measures.add(scores, relevant);
    const auto before = [&](size_t a, size_t b) {
      return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
    };
    double sum = 0.0, best = 1e9, count = 0.0;
    for (size_t i = 0; i < relevant.size(); ++i) {
      if (!relevant[i]) continue;
      double rank = 1.0, hits = 1.0;
      for (size_t j = 0; j < relevant.size(); ++j) {
        rank += before(j, i) ? 1.0 : 0.0;
        hits += before(j, i) && relevant[j] ? 1.0 : 0.0;
      }
      sum += hits / rank;
      best = std::min(best, rank);
      count += 1.0;
    }
    if (count == 0.0) continue;
    precision += sum / count;
    first += best <= 1.0 ? 1.0 : 0.0;
    among += best <= 3.0 ? 1.0 : 0.0;
  }
  EXPECT_NEAR(measures.means()[0].second, precision / measures.count(), 1e-14);
  EXPECT_DOUBLE_EQ(measures.means()[1].second, first / measures.count());
  EXPECT_DOUBLE_EQ(measures.means()[2].second, among / measures.count());
}

TEST(Retrieval, LearnsToFindClassesThatItNeverSaw) {
  const Scratch folder;
  Recorder recorder;
  const double before = *find_metric(
      train_file(kRecipe, folder.path("short"), {"train.steps=1", "schedule.warmup_steps=0"})
          .metrics,
      "map");
  const EndReport end =
      train_file(kRecipe, folder.path("run"), {"train.steps=100"}, false, &recorder);
  const double after = *find_metric(end.metrics, "map");
  EXPECT_GT(after, before + 0.1);
  EXPECT_LT(recorder.steps.back().loss, recorder.steps.front().loss);
  EXPECT_GT(*find_metric(end.metrics, "recall@5"), *find_metric(end.metrics, "recall@1"));
  EXPECT_GE(*find_metric(end.best, "map"), after);
}

TEST(Retrieval, ResumesBitForBit) {
  const Scratch folder;
  expect_exact_resume(kRecipe, folder.path(), 10, {"task.normalise=false", "task.soft=true"});
}

TEST(Retrieval, TripletsLieWithinAGroup) {
  const auto task = make_task(load_recipe(kRecipe, {"train.batch_size=2", "train.accumulation=1"}));
  task->module().initialise(1);
  task->module().eval();
  const Batch both = task->next_batch();
  const auto of_group = [&](int64_t group) {
    Batch part;
    for (const auto& [name, tensor] : both.tensors) {
      const std::vector<float> all = tensor.to_vector<float>();
      const int64_t half = tensor.numel() / 2;
      Shape shape = tensor.shape();
      shape[0] /= 2;
      const std::vector<float> own(all.begin() + group * half, all.begin() + (group + 1) * half);
      const Tensor values = Tensor::from(own, shape);
      part.tensors.emplace_back(name, tensor.dtype() == DType::i64
                                          ? Tensor::from(values.to_vector<int64_t>(), shape)
                                          : values);
    }
    return part;
  };
  const double apart = task->loss(of_group(0)).item() + task->loss(of_group(1)).item();
  EXPECT_NEAR(task->loss(both).item(), apart / 2.0, 1e-5);
}

TEST(Retrieval, AGalleryOfAnotherPart) {
  const Scratch folder;
  const std::vector<std::string> parts = {"data.hold_out_classes=0", "data.validation=30",
                                          "data.test=40"};
  std::vector<std::string> brief = parts;
  brief.insert(brief.end(), {"train.steps=2", "train.eval_every=2", "schedule.warmup_steps=0"});
  train_file(kRecipe, folder.path("run"), brief);
  const auto map = [&](const std::string& part, const std::string& gallery) {
    return *find_metric(
        evaluate(folder.path("run"), {"task.part=" + part, "task.gallery=" + gallery}).metrics,
        "map");
  };
  // Looked up in itself, a query is left out; in the same part by name just so.
  EXPECT_EQ(map("test", "test"), map("test", "queries"));
  EXPECT_NE(map("test", "validation"), map("test", "queries"));
  const Metrics one = evaluate(folder.path("run"), {"evaluation.batch_size=1"}).metrics;
  EXPECT_NEAR(one[1].second, map("validation", "queries"), 1e-6);
}

TEST(Retrieval, RefusesWhatDoesNotFit) {
  const Scratch folder;
  EXPECT_THAT(build_error(kRecipe, {"task.identities=8"}),
              HasSubstr("the training part has 7 classes of 2 examples or more, and 8 are wanted"));
  EXPECT_THAT(build_error(kRecipe, {"task.gallery=test"}), HasSubstr("the data has no test part"));
  train_file(kRecipe, folder.path("run"),
             {"train.steps=1", "schedule.warmup_steps=0", "train.eval_every=1"});
  EXPECT_THAT(request_error([&] { evaluate(folder.path("run"), {"task.gallery=train"}); }),
              HasSubstr("no query has an example of its class in the gallery"));
}

}  // namespace
}  // namespace heed::recipes
