// Ranks that share the optimiser, gradients and parameters train as one rank does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/safetensors.h"
#include "tests/core/raises.h"
#include "tests/recipes/rank_runs.h"

namespace heed::recipes {
namespace {

using testing::HasSubstr;

const std::vector<std::string> kLevels = {"optimizer", "gradients", "parameters"};

TEST(Sharding, DecoderEqualsOneRank) {
  for (const std::string& level : kLevels) {
    SCOPED_TRACE(level);
    const SharedScratch folder;
    expect_like_one_rank(folder, write_gpt(folder),
                         {"model.dropout=0.2", "model.attention_dropout=0.2", "train.ema=0.9"},
                         {"parallel.shard=" + level});
  }
}

TEST(Sharding, CheckpointedBlocksEqualOneRank) {
  for (const std::string& level : kLevels) {
    SCOPED_TRACE(level);
    const SharedScratch folder;
    expect_like_one_rank(folder, write_gpt(folder), {"model.checkpointing=true"},
                         {"parallel.shard=" + level});
  }
}

TEST(Sharding, EncoderEqualsOneRank) {
  for (const std::string& level : kLevels) {
    SCOPED_TRACE(level);
    const SharedScratch folder;
    expect_like_one_rank(folder, write_recipe(folder, kEncoder), {}, {"parallel.shard=" + level});
  }
}

TEST(Sharding, VisionTransformerEqualsOneRank) {
  for (const std::string& level : kLevels) {
    SCOPED_TRACE(level);
    const SharedScratch folder;
    expect_like_one_rank(folder, write_recipe(folder, kVit), {}, {"parallel.shard=" + level});
  }
}

TEST(Sharding, ResumesUnderTheSameAndAnotherMesh) {
  const std::pair<const char*, const char*> levels[] = {{"none", "optimizer"},
                                                        {"optimizer", "none"},
                                                        {"gradients", "optimizer"},
                                                        {"parameters", "optimizer"}};
  for (const auto& [level, other] : levels) {
    SCOPED_TRACE(level);
    expect_resumes(kGpt, {"train.ema=0.9"}, {fmt::format("parallel.shard={}", level)},
                   {fmt::format("parallel.shard={}", other)});
  }
}

// As on the Hugging Face hub: each rank's file, the index, whole tensors.
TEST(Sharding, EveryRankWritesItsPartOfACheckpoint) {
  const SharedScratch folder;
  TrainObserver silent;
  train_ranks(write_gpt(folder), folder.path("run"), {"parallel.shard=gradients", "train.ema=0.9"},
              silent, world());
  if (world().rank() != 0) return;
  const std::string checkpoint = find_checkpoint(folder.path("run")).path;
  int64_t total = 0, largest = 0;
  for (const std::string kind : {"model", "optimizer", "ema"}) {
    EXPECT_FALSE(std::filesystem::exists(checkpoint + "/" + kind + ".safetensors"));
    EXPECT_TRUE(std::filesystem::exists(checkpoint + "/" + kind + ".safetensors.index.json"));
    for (int rank = 0; rank < world().size(); ++rank) {
      const auto file = read_safetensors(fmt::format("{}/{}-{:05}-of-{:05}.safetensors", checkpoint,
                                                     kind, rank + 1, world().size()));
      int64_t bytes = 0;
      for (const auto& [name, tensor] : file.tensors) bytes += tensor.bytes();
      if (kind == "optimizer") {
        total += bytes;
        largest = std::max(largest, bytes);
      }
    }
  }
  // The largest tensor is an eighth of the optimiser's bytes.
  EXPECT_LT(largest, total / world().size() + total / 8);
  EXPECT_EQ(verify_checkpoint(checkpoint), "");
  const std::string second =
      fmt::format("{}/model-00002-of-{:05}.safetensors", checkpoint, world().size());
  std::filesystem::remove(second);
  EXPECT_THAT(verify_checkpoint(checkpoint), HasSubstr("model-00002-of-"));
}

// Whoever sums a file up, all ranks hear that it is damaged.
TEST(Sharding, RanksCheckACheckpointTogether) {
  const SharedScratch folder;
  TrainObserver silent;
  train_ranks(write_gpt(folder), folder.path("run"), {"parallel.shard=gradients", "train.ema=0.9"},
              silent, world());
  const std::string checkpoint = find_checkpoint(folder.path("run")).path;
  EXPECT_EQ(latest_checkpoint(folder.path("run"), world()).path, checkpoint);
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(checkpoint)) {
    files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  EXPECT_GT(std::ssize(files), 3 * world().size());
  for (const std::string& file : files) {
    const std::string whole = read_file(file);
    std::string damaged = whole;
    damaged[0] = static_cast<char>(damaged[0] ^ 1);
    world().barrier();
    if (world().rank() == 0) write_file_atomically(file, damaged);
    world().barrier();
    const std::string problem = verify_checkpoint(checkpoint, world());
    const bool is_list = file.ends_with("SHA256SUMS");  // then another file does not fit it
    EXPECT_THAT(problem, HasSubstr(is_list ? "damaged" : file + " is damaged"));
    world().barrier();
    if (world().rank() == 0) write_file_atomically(file, whole);
  }
  world().barrier();
  EXPECT_EQ(verify_checkpoint(checkpoint, world()), "");
}

TEST(Sharding, RanksThatSeeOtherCheckpointsAreRefused) {
  const SharedScratch folder;
  TrainObserver silent;
  train_ranks(write_gpt(folder), folder.path("run"), {}, silent, world());
  const std::string own = folder.path(world().rank() == 1 ? "elsewhere" : "run");
  EXPECT_THAT(request_error([&] { latest_checkpoint(own, world()); }),
              HasSubstr("rank 0 sees those of step 6, 12, rank 1 no checkpoint: all ranks must "
                        "see"));
}

TEST(Sharding, WhatNeedsWholeTensorsIsRefused) {
  const SharedScratch folder;
  const std::string recipe = write_gpt(folder);
  for (const std::string wrong :
       {"optimizer.type=lars", "optimizer.type=adafactor", "train.adaptive_clip=0.01"}) {
    const std::string error = request_error([&] {
      load_recipe(recipe, {"parallel.shard=gradients", wrong});
    });
    EXPECT_THAT(error, HasSubstr("needs whole tensors")) << wrong;
    EXPECT_THAT(error, HasSubstr(wrong.substr(0, wrong.find('=')))) << wrong;
  }
  EXPECT_THAT(request_error([&] { load_recipe(recipe, {"parallel.shard=all"}); }),
              HasSubstr("parameters"));
}

}  // namespace
}  // namespace heed::recipes
