#include "recipes/engine/masked_language_modeling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "recipes/engine/evaluate.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string write_recipe(const Scratch& folder) {
  folder.write("text.txt", tiny_text());
  return folder.write("mlm.yaml", R"(
seed: 3
task: {type: masked_language_modeling}
data: {type: text, files: [text.txt], validation: 0.2, tokenizer: {type: chars}}
model: {type: encoder, layers: 1, dim: 16, heads: 2, context: 16, dropout: 0.1, pooler: false}
train: {steps: 12, batch_size: 3, accumulation: 2, log_every: 1, eval_every: 4,
        checkpoint_every: 4}
optimizer: {type: adamw, lr: 1e-2}
evaluation: {baselines: [unigram]}
)");
}

TEST(MaskedLanguageModeling, LearnsMoreThanFrequencies) {
  const Scratch folder;
  Recorder recorder;
  const EndReport end = train_file(write_recipe(folder), folder.path("run"),
                                   {"train.steps=250", "train.batch_size=16", "model.dropout=0",
                                    "model.attention_dropout=0", "train.eval_every=0"},
                                   false, &recorder);
  EXPECT_LT(*find_metric(end.metrics, "loss"), *find_metric(end.baselines, "unigram.loss") - 0.3);
  EXPECT_NEAR(*find_metric(end.metrics, "perplexity"), std::exp(*find_metric(end.metrics, "loss")),
              1e-9);
  std::map<char, double> counts;
  for (const char c : tiny_text()) ++counts[c];
  double most = 0.0;
  for (const auto& [c, count] : counts) most = std::max(most, count);
  EXPECT_GT(*find_metric(end.metrics, "accuracy"),
            most / static_cast<double>(tiny_text().size()));  // of always the commonest character
  EXPECT_EQ(recorder.steps.back().items, 250 * 16 * 2 * 16);
}

TEST(MaskedLanguageModeling, ResumesBitForBit) {
  const Scratch folder;
  expect_exact_resume(write_recipe(folder), folder.path("runs"), 7);
}

TEST(MaskedLanguageModeling, BatchesHoldTheMaskAndTheirTargets) {
  const Scratch folder;
  const auto task = make_task(load_recipe(write_recipe(folder)));
  const auto& mlm = dynamic_cast<MaskedLanguageModeling&>(*task);
  EXPECT_EQ(mlm.mask_id(), mlm.tokenizer().vocab_size());  // chars have no mask of their own
  const Batch batch = task->next_batch();
  const auto inputs = batch["inputs"].to_vector<int64_t>();
  const auto targets = batch["targets"].to_vector<int64_t>();
  int64_t counted = 0, masked = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    counted += targets[i] != data::kIgnoreTarget;
    if (inputs[i] != mlm.mask_id()) continue;
    ++masked;
    EXPECT_NE(targets[i], data::kIgnoreTarget);
  }
  EXPECT_EQ(batch.count, counted);
  EXPECT_GT(masked, 0);
}

TEST(MaskedLanguageModeling, AccumulationSeesTheSameRows) {
  const Scratch folder;
  const std::string recipe = write_recipe(folder);
  const auto whole = make_task(load_recipe(recipe, {"train.batch_size=6", "train.accumulation=1"}));
  const auto parts = make_task(load_recipe(recipe));
  for (const char* name : {"inputs", "targets"}) {
    whole->seek_data({});
    parts->seek_data({});
    std::vector<int64_t> ids;
    for (int part = 0; part < 2; ++part) {
      for (const int64_t id : parts->next_batch()[name].to_vector<int64_t>()) ids.push_back(id);
    }
    EXPECT_EQ(ids, whole->next_batch()[name].to_vector<int64_t>()) << name;
  }
}

TEST(MaskedLanguageModeling, EvaluationDoesNotDependOnTheBatchSize) {
  const Scratch folder;
  train_file(write_recipe(folder), folder.path("run"));
  const Metrics one = evaluate(folder.path("run"), {"evaluation.batch_size=1"}).metrics;
  const Metrics many = evaluate(folder.path("run"), {"evaluation.batch_size=32"}).metrics;
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_NEAR(one[i].second, many[i].second, 1e-5 * many[i].second) << one[i].first;
  }
}

TEST(MaskedLanguageModeling, RefusesWhatDoesNotFit) {
  const Scratch folder;
  const std::string recipe = write_recipe(folder);
  EXPECT_THAT(build_error(recipe, {"model={type: gpt}"}),
              HasSubstr("the model 'gpt' predicts no masked tokens; encoder does"));
  EXPECT_THAT(build_error(recipe, {"model.mlm=false"}), HasSubstr("needs `mlm: true`"));
  EXPECT_THAT(build_error(recipe, {"model.context=100000"}), HasSubstr("a context of 100000"));
  EXPECT_THAT(build_error(recipe, {"task.masking.mask=0.8", "task.masking.random=0.3"}),
              HasSubstr("mask + random must be at most 1"));
  EXPECT_THAT(build_error(recipe, {"data={type: procedural-images}"}), HasSubstr("is no text"));
}

}  // namespace
}  // namespace heed::recipes
