// Runs of a pipeline's stages against one rank.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/raises.h"
#include "tests/recipes/rank_runs.h"

namespace heed::recipes {
namespace {

using testing::HasSubstr;

/// All ranks are stages.
std::vector<std::string> stages() { return {fmt::format("parallel.pipeline={}", world().size())}; }

const std::vector<std::string> kDecoder = {"model.layers=5", "train.accumulation=3"};

std::vector<std::string> decoder(std::vector<std::string> more) {
  more.insert(more.end(), kDecoder.begin(), kDecoder.end());
  return more;
}

TEST(PipelineRuns, DecoderEqualsOneRank) {
  const SharedScratch folder;
  expect_like_one_rank(folder, write_gpt(folder),
                       decoder({"model.dropout=0.2", "train.ema=0.9",
                                "optimizer.groups=[{pattern: 'blocks.0.*', lr: 0.5}]"}),
                       stages());
}

TEST(PipelineRuns, CheckpointedBlocksAndAnUntiedHeadToo) {
  const SharedScratch folder;
  expect_like_one_rank(folder, write_gpt(folder),
                       decoder({"model.checkpointing=true", "model.tied=false"}), stages());
}

TEST(PipelineRuns, ResumesBitForBitAndUnderOneRank) {
  const SharedScratch folder;
  const std::string recipe = write_gpt(folder);
  TrainObserver silent;
  std::vector<std::string> all = decoder(stages());
  all.push_back("schedule.type=constant");
  std::vector<std::string> half = all;
  half.push_back("train.steps=6");
  train_ranks(recipe, folder.path("whole"), all, silent, world());
  train_ranks(recipe, folder.path("cut"), half, silent, world());
  if (world().rank() == 0) {
    std::filesystem::copy(folder.path("cut"), folder.path("one"),
                          std::filesystem::copy_options::recursive);
    const auto self = self_communicator();
    train_ranks(recipe, folder.path("one"), decoder({"schedule.type=constant"}), silent, *self,
                true);
  }
  world().barrier();
  train_ranks(recipe, folder.path("cut"), all, silent, world(), true);
  if (world().rank() != 0) return;
  const auto content = [&](const char* run) {
    return read_checkpoint(find_checkpoint(folder.path(run)).path);
  };
  const CheckpointContent whole = content("whole");
  expect_same_bits(whole.model, content("cut").model);
  expect_same_bits(whole.optimizer, content("cut").optimizer);
  expect_close(content("one").model, whole.model);
}

TEST(PipelineRuns, MoreStagesThanBlocksAreRefused) {
  const SharedScratch folder;
  TrainObserver silent;
  std::vector<std::string> overrides = stages();
  overrides.push_back("model.layers=1");
  const std::string recipe = write_gpt(folder);
  EXPECT_THAT(
      request_error([&] { train_ranks(recipe, folder.path("run"), overrides, silent, world()); }),
      HasSubstr("stages for 1 blocks"));
}

}  // namespace
}  // namespace heed::recipes
