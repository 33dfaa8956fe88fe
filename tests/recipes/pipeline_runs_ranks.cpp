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

// What a stage trains is not what another one does: nothing at all on the first.
TEST(PipelineRuns, StagesThatTrainNothing) {
  const std::vector<std::string> frozen = {
      "optimizer.groups=[{pattern: 'blocks.0.*', freeze: true}]",
      "optimizer.groups=[{pattern: 'blocks.4.*'}, {pattern: 'blocks.*', freeze: true}, "
      "{pattern: 'embed.*', freeze: true}, {pattern: 'position.*', freeze: true}]",
      "lora={rank: 4, targets: ['blocks.4.*']}"};
  for (const std::string& what : frozen) {
    SCOPED_TRACE(what);
    const SharedScratch folder;
    expect_like_one_rank(folder, write_gpt(folder), decoder({what, "model.tied=false"}), stages());
  }
}

TEST(PipelineRuns, ResumesBitForBitAndUnderOtherMeshes) {
  expect_resumes(kGpt, decoder({"train.ema=0.9"}), stages());
}

TEST(PipelineRuns, ShardedStagesResumeToo) {
  expect_resumes(
      kGpt, decoder({"train.ema=0.9"}),
      {fmt::format("parallel.pipeline={}", part_of_the_ranks()), "parallel.shard=gradients"});
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
