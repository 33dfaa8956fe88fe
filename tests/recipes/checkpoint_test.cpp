#include "recipes/engine/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/raises.h"
#include "tests/recipes/scratch.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

CheckpointContent content_at(int64_t step) {
  CheckpointContent content;
  const auto value = static_cast<float>(step);
  content.model = {{"w", Tensor::from(std::vector<float>{value, 2, 3}, {3})}};
  content.optimizer = {{"w.m", Tensor::from(std::vector<float>{4, 5, value}, {3})}};
  content.ema = {{"w", Tensor::from(std::vector<float>{7, value, 9}, {3})}};
  content.state.step = step;
  content.state.seed = 1ull << 63;
  content.state.items = 1000 * step;
  content.state.data = parse_json(R"({"step": 12})", "test");
  content.state.has_best = true;
  content.state.best_step = step - 1;
  content.state.best_value = 1.5;
  content.state.best_metrics = {{"loss", 1.5}};
  content.state.baselines = {{"unigram.loss", 4.0}};
  content.state.seconds = 12.5;
  content.recipe_yaml = "name: test\n";
  content.assets = [](const std::string& folder) { spit(folder + "/tokenizer.json", "{}"); };
  return content;
}

std::vector<std::string> steps_in(const std::string& run) {
  std::vector<std::string> names;
  for (const CheckpointInfo& info : list_checkpoints(run)) {
    names.push_back(fs::path(info.path).filename().string());
  }
  return names;
}

TEST(Checkpoint, ReadsBackWhatWasWritten) {
  const Scratch run;
  const std::string path = write_checkpoint(run.path(), content_at(7));
  EXPECT_EQ(path, run.path("checkpoints/step-00000007"));
  EXPECT_EQ(verify_checkpoint(path), "");
  const CheckpointContent read = read_checkpoint(path);
  EXPECT_EQ(read.model.at(0).second.to_vector<float>(), (std::vector<float>{7, 2, 3}));
  EXPECT_EQ(read.optimizer.at(0).first, "w.m");
  EXPECT_EQ(read.ema.at(0).second.to_vector<float>(), (std::vector<float>{7, 7, 9}));
  EXPECT_EQ(read.recipe_yaml, "name: test\n");
  EXPECT_EQ(read.state.step, 7);
  EXPECT_EQ(read.state.seed, 1ull << 63);
  EXPECT_EQ(read.state.items, 7000);
  EXPECT_EQ(read.state.data.at("step").as_integer(), 12);
  EXPECT_TRUE(read.state.has_best);
  EXPECT_EQ(read.state.best_step, 6);
  EXPECT_EQ(read.state.best_metrics.at(0).first, "loss");
  EXPECT_EQ(read.state.baselines.at(0).second, 4.0);
  EXPECT_EQ(read.state.seconds, 12.5);
  EXPECT_EQ(slurp(path + "/tokenizer.json"), "{}");
}

TEST(Checkpoint, AFlippedByteInAnyFileIsNamedAndTheOneBeforeIsUsed) {
  const Scratch run;
  const std::string good = write_checkpoint(run.path(), content_at(1));
  const std::string bad = write_checkpoint(run.path(), content_at(2));
  for (const auto& entry : fs::directory_iterator(bad)) {
    const std::string file = entry.path().string();
    const std::string before = slurp(file);
    // The first, a middle and the last byte.
    for (const size_t at : {size_t{0}, before.size() / 2, before.size() - 1}) {
      std::string damaged = before;
      damaged[at] = static_cast<char>(damaged[at] ^ 1);
      spit(file, damaged);
      std::vector<std::string> warnings;
      const CheckpointInfo found =
          latest_checkpoint(run.path(), [&](const std::string& w) { warnings.push_back(w); });
      EXPECT_EQ(found.path, good) << file << " byte " << at;
      ASSERT_EQ(warnings.size(), 1u);
      EXPECT_THAT(warnings[0], HasSubstr("step-00000002/"));
      const bool sums = entry.path().filename() == "SHA256SUMS";
      EXPECT_THAT(warnings[0], HasSubstr(sums ? bad : file));
    }
    spit(file, before);
  }
  EXPECT_EQ(latest_checkpoint(run.path()).path, bad);
}

TEST(Checkpoint, AFileCutShortOrGoneIsNamed) {
  const Scratch run;
  const std::string path = write_checkpoint(run.path(), content_at(3));
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string file = entry.path().string();
    const std::string before = slurp(file);
    spit(file, before.substr(0, before.size() / 2));
    EXPECT_THAT(verify_checkpoint(path), HasSubstr(path)) << file;
    fs::remove(file);
    EXPECT_EQ(verify_checkpoint(path), file + " is missing");
    spit(file, before);
  }
  EXPECT_EQ(verify_checkpoint(path), "");
}

TEST(Checkpoint, WhatAKilledRunLeftIsIgnoredAndCleanedUp) {
  const Scratch run;
  run.write("checkpoints/.writing-step-00000009/model.safetensors", "half");
  EXPECT_TRUE(latest_checkpoint(run.path()).path.empty());
  write_checkpoint(run.path(), content_at(9));
  EXPECT_THAT(steps_in(run.path()), ElementsAre("step-00000009"));
  EXPECT_FALSE(fs::exists(run.path("checkpoints/.writing-step-00000009")));
}

TEST(Checkpoint, ADamagedOneOfTheSameStepIsReplaced) {
  const Scratch run;
  const std::string path = write_checkpoint(run.path(), content_at(4));
  spit(path + "/model.safetensors", "damaged");
  EXPECT_EQ(write_checkpoint(run.path(), content_at(4)), path);
  EXPECT_EQ(verify_checkpoint(path), "");
}

TEST(Checkpoint, PruningKeepsTheLastAndTheBest) {
  const Scratch run;
  for (int64_t step = 1; step <= 5; ++step) write_checkpoint(run.path(), content_at(step));
  prune_checkpoints(run.path(), 2, {2});
  EXPECT_THAT(steps_in(run.path()), ElementsAre("step-00000002", "step-00000004", "step-00000005"));
}

TEST(Checkpoint, FindTakesRunsAndCheckpointsAndSaysWhatIsWrong) {
  const Scratch run;
  EXPECT_EQ(request_error([&] { find_checkpoint(run.path("nowhere")); }),
            run.path("nowhere") + ": no such folder; give a run or one of its checkpoints");
  EXPECT_EQ(request_error([&] { find_checkpoint(run.path()); }),
            run.path() + ": holds no checkpoint");
  const std::string path = write_checkpoint(run.path(), content_at(5));
  EXPECT_EQ(find_checkpoint(run.path()).path, path);
  EXPECT_EQ(find_checkpoint(path).step, 5);
  spit(path + "/state.pb", "x");
  EXPECT_THAT(request_error([&] { find_checkpoint(path); }), HasSubstr("state.pb is damaged"));
  EXPECT_EQ(request_error([&] { find_checkpoint(run.path()); }),
            run.path() + ": holds no undamaged checkpoint");
}

}  // namespace
}  // namespace heed::recipes
