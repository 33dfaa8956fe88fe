// Length curricula of language models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

using ::testing::HasSubstr;

std::string write_staged(const Scratch& folder, const std::string& sampling = "random") {
  folder.write("text.txt", tiny_text());
  return folder.write("staged.yaml", R"(
name: staged
seed: 3
task:
  type: language_modeling
  sampling: )" + sampling + R"(
  curriculum:
    - {until: 3, context: 4}
    - {until: 6, context: 8}
data: {type: text, files: [text.txt], validation: 0.2, tokenizer: {type: bytes}}
model: {type: gpt, layers: 1, dim: 16, heads: 2, context: 16, dropout: 0.1}
train: {steps: 10, batch_size: 3, accumulation: 2, log_every: 1, eval_every: 5,
        checkpoint_every: 2}
optimizer: {type: adamw, lr: 1e-2}
)");
}

TEST(Curriculum, StepsHaveTheSameTokensInMoreAndShorterRows) {
  const Scratch folder;
  const auto task = make_task(load_recipe(write_staged(folder)));
  EXPECT_EQ(task->items_per_step(), 2 * 3 * 16);
  for (int64_t step = 0; step < 8; ++step) {
    const int64_t context = step < 3 ? 4 : step < 6 ? 8 : 16;
    for (int part = 0; part < 2; ++part) {
      const Batch batch = task->next_batch();
      EXPECT_EQ(batch["inputs"].shape(), (Shape{3 * 16 / context, context})) << step;
      EXPECT_EQ(batch.count, 3 * 16);
    }
  }
}

TEST(Curriculum, AccumulationSeesTheSameRows) {
  const Scratch folder;
  const std::string recipe = write_staged(folder);
  const auto whole = make_task(load_recipe(recipe, {"train.batch_size=6", "train.accumulation=1"}));
  const auto parts = make_task(load_recipe(recipe, {"train.batch_size=2", "train.accumulation=3"}));
  for (int step = 0; step < 7; ++step) {
    const auto expected = whole->next_batch()["inputs"].to_vector<int64_t>();
    std::vector<int64_t> inputs;
    for (int part = 0; part < 3; ++part) {
      for (const int64_t id : parts->next_batch()["inputs"].to_vector<int64_t>()) {
        inputs.push_back(id);
      }
    }
    EXPECT_EQ(inputs, expected) << step;
  }
}

TEST(Curriculum, AnEpochOfAStageHasEveryWindowOnce) {
  const Scratch folder;
  std::string text;  // 161 training tokens: 40 windows of 4, all different
  for (int i = 0; i < 161; ++i) text += static_cast<char>('!' + (i * i + i / 7) % 90);
  const std::string recipe = write_staged(folder, "epochs");
  folder.write("text.txt", text);
  const auto task = make_task(
      load_recipe(recipe, {"data.validation=0", "task.curriculum=[{until: 100, context: 4}]",
                           "train.batch_size=1", "train.accumulation=1"}));
  std::multiset<std::vector<int64_t>> seen, expected;
  for (int step = 0; step < 10; ++step) {  // of 4 rows
    const auto ids = task->next_batch()["inputs"].to_vector<int64_t>();
    for (size_t row = 0; row < 4; ++row) {
      seen.emplace(ids.begin() + static_cast<long>(4 * row),
                   ids.begin() + static_cast<long>(4 * row + 4));
    }
  }
  for (size_t i = 0; i < 40; ++i) {
    expected.emplace(text.begin() + static_cast<long>(4 * i),
                     text.begin() + static_cast<long>(4 * i + 4));
  }
  EXPECT_EQ(seen, expected);
}

TEST(Curriculum, ResumesBitForBitWithinAndBetweenStages) {
  for (const int64_t at : {3, 5, 7}) {  // from the checkpoints of steps 2, 4 and 6
    const Scratch folder;
    expect_exact_resume(write_staged(folder), folder.path(), at);
  }
}

TEST(Curriculum, RefusesWhatDoesNotFit) {
  const Scratch folder;
  const std::string recipe = write_staged(folder);
  EXPECT_THAT(build_error(recipe, {"task.curriculum=[{until: 3, context: 5}]"}),
              HasSubstr("a context of 5 does not divide the model's 16"));
  EXPECT_THAT(
      build_error(recipe, {"task.curriculum=[{until: 3, context: 4}, {until: 3, context: 8}]"}),
      HasSubstr("until: 3 does not ascend"));
  EXPECT_THAT(build_error(recipe, {"data={type: text-stream, files: [" + folder.path("text.txt") +
                                   "], tokenizer: {type: bytes}}"}),
              HasSubstr("the data are a stream"));
  EXPECT_THAT(build_error(recipe, {"data={type: synthetic, task: copy}"}),
              HasSubstr("a `curriculum` is of the windows of a text"));
}

}  // namespace
}  // namespace heed::recipes
