// Runs whose ranks share the tokens of sequences, against one rank.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/raises.h"
#include "tests/recipes/rank_runs.h"

namespace heed::recipes {
namespace {

using testing::HasSubstr;

/// All ranks share every sequence.
std::vector<std::string> sharing(const std::string& attention, const std::string& layout) {
  return {fmt::format("parallel.sequence={}", world().size()),
          "parallel.sequence_attention=" + attention, "parallel.sequence_layout=" + layout};
}

// 24 tokens share out among 2, 3 and 4 ranks in every layout, 12 heads too.
std::vector<std::string> decoder(std::vector<std::string> more) {
  more.insert(more.end(), {"model.context=24", "model.dim=24", "model.heads=12"});
  return more;
}

TEST(SequenceRuns, DecoderEqualsOneRankByEveryWay) {
  for (const char* attention : {"ring", "rsa", "heads"}) {
    for (const char* layout : {"auto", "contiguous", "striped"}) {
      SCOPED_TRACE(fmt::format("{} {}", attention, layout));
      const SharedScratch folder;
      expect_like_one_rank(folder, write_gpt(folder),
                           decoder({"model.position=rotary", "model.dropout=0.2"}),
                           sharing(attention, layout));
    }
  }
}

TEST(SequenceRuns, AttentionDropoutPositionsAndRecomputation) {
  for (const char* position : {"learned", "sinusoidal", "alibi"}) {
    SCOPED_TRACE(position);
    const SharedScratch folder;
    expect_like_one_rank(
        folder, write_gpt(folder),
        decoder({fmt::format("model.position={}", position), "model.attention_dropout=0.2",
                 "model.checkpointing=true", "samples.every=6", "samples.max_tokens=4"}),
        sharing("ring", "auto"));
  }
}

TEST(SequenceRuns, WindowedDecoderEqualsOneRank) {
  const SharedScratch folder;
  expect_like_one_rank(folder, write_gpt(folder),
                       decoder({"model.attention={type: window, window: 5}"}),
                       sharing("ring", "contiguous"));
}

TEST(SequenceRuns, EncodersEqualOneRank) {
  const SharedScratch folder;
  expect_like_one_rank(folder, write_recipe(folder, kEncoder),
                       {"model.context=24", "model.attention_dropout=0.1"},
                       sharing("ring", "auto"));
}

TEST(SequenceRuns, LinformerKeepsItsOwnTokensProjection) {
  const SharedScratch folder;
  expect_like_one_rank(folder, write_recipe(folder, kVit),
                       {"data.size=24", "model.pool=mean",
                        "model.attention={type: linformer, tokens: 36, projected: 5}"},
                       sharing("ring", "auto"));
}

TEST(SequenceRuns, VisionTransformerEqualsOneRank) {
  const SharedScratch folder;
  // 6 x 6 patches and no class token.
  expect_like_one_rank(folder, write_recipe(folder, kVit),
                       {"data.size=24", "model.pool=mean", "model.attention_dropout=0.1"},
                       sharing("ring", "auto"));
}

TEST(SequenceRuns, WhatDoesNotShareOutIsRefused) {
  const SharedScratch folder;
  TrainObserver silent;
  const std::string recipe = write_gpt(folder);
  const auto error = [&](const std::vector<std::string>& more) {
    std::vector<std::string> overrides = sharing("ring", "auto");
    overrides.insert(overrides.end(), more.begin(), more.end());
    return request_error(
        [&] { train_ranks(recipe, folder.path("run"), overrides, silent, world()); });
  };
  EXPECT_THAT(error({"model.context=25"}), HasSubstr("do not share out"));
  EXPECT_THAT(error({"model.context=24", "model.attention=linear"}),
              HasSubstr("blocks.0.attn: this attention mechanism"));
  EXPECT_THAT(error({"model.context=24", "model.dim=10", "model.heads=5",
                     "parallel.sequence_attention=heads"}),
              HasSubstr("5"));
}

}  // namespace
}  // namespace heed::recipes
