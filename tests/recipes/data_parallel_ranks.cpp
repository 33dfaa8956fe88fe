// The contract of parallelism: any mesh gives the one-rank run, up to rounding.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "distributed/batch_statistics.h"
#include "tests/recipes/rank_runs.h"

namespace heed::recipes {
namespace {

using testing::HasSubstr;

TEST(DataParallel, DecoderEqualsOneRank) {
  for (const char* precision : {"f32", "f64"}) {
    const SharedScratch folder;
    expect_like_one_rank(folder, write_gpt(folder), {}, {}, precision);
  }
}

TEST(DataParallel, AveragedWeightsAndCheckpointedBlocksToo) {
  const SharedScratch folder;
  expect_like_one_rank(folder, write_gpt(folder),
                       {"train.ema=0.9", "model.checkpointing=true", "train.accumulation=1"});
}

// A row's draws do not depend on how the step's rows are shared out.
TEST(DataParallel, DropoutEqualsOneRank) {
  const SharedScratch folder;
  expect_like_one_rank(folder, write_gpt(folder),
                       {"model.dropout=0.2", "model.attention_dropout=0.2"});
}

// Batch norm over all ranks' rows, images mixed with other ranks' images.
TEST(DataParallel, ImagesWithBatchNormEqualOneRank) {
  const SharedScratch folder;
  expect_like_one_rank(
      folder, HEED_SOURCE_DIR "/recipes/base/smoke-classification.yaml",
      {"train.batch_size=24", "evaluation.batch_size=24", "train.steps=8", "train.eval_every=4",
       "train.log_every=1", "data.mix_probability=1", "schedule.warmup_steps=0"});
}

// Shorter sequences at first: more rows, which ranks share out as ever.
TEST(DataParallel, ALengthCurriculumEqualsOneRank) {
  const SharedScratch folder;
  expect_like_one_rank(folder, write_gpt(folder),
                       {"model.dropout=0.2", "task.type=language_modeling",
                        "task.curriculum=[{until: 4, context: 2}, {until: 8, context: 4}]"});
}

// Groups are shared out whole, so no rank's examples are compared with fewer than on one rank. What
// lies between embeddings does not see the head's bias: its gradient is zero but for rounding,
// which Adam scales up to a step.
TEST(DataParallel, EpisodesAndTripletsEqualOneRank) {
  for (const char* recipe : {"smoke-few-shot", "smoke-retrieval"}) {
    const SharedScratch folder;
    expect_like_one_rank(
        folder, fmt::format("{}/recipes/base/{}.yaml", HEED_SOURCE_DIR, recipe),
        {"train.batch_size=12", "train.accumulation=1", "train.steps=6", "train.eval_every=3",
         "train.log_every=1", "evaluation.batch_size=12", "evaluation.baselines=[]",
         "schedule={type: constant}", "optimizer.groups=[{pattern: head.bias, freeze: true}]"});
  }
}

// Centroids move by all ranks' rows, and the commitment to them is of all rows.
TEST(DataParallel, RoutingTransformerEqualsOneRank) {
  const SharedScratch folder;
  expect_like_one_rank(
      folder, HEED_SOURCE_DIR "/recipes/routing-transformer/text.yaml",
      {"model.context=24", "model.layers=2", "model.dim=16", "model.clusters=3", "model.window=8",
       "model.block=6", "model.relative=5", "model.decay=0.5", "model.commitment=0.1",
       "model.token_dropout=0.1", "model.checkpointing=true", "train.batch_size=12",
       "evaluation.batch_size=12", "evaluation.baselines=[]", "evaluation.max_batches=2",
       "train.steps=6", "train.eval_every=3", "train.log_every=1", "schedule={type: constant}"});
}

TEST(DataParallel, RoutingIsNotSharedByHeadsOrTokens) {
  const SharedScratch folder;
  TrainObserver silent;
  const auto error = [&](const std::string& recipe, const std::string& axis,
                         std::vector<std::string> overrides) {
    overrides.push_back(fmt::format("parallel.{}={}", axis, world().size()));
    return request_error(
        [&] { train_ranks(recipe, folder.path("run"), overrides, silent, world()); });
  };
  const std::string whole = HEED_SOURCE_DIR "/recipes/routing-transformer/text.yaml";
  EXPECT_THAT(error(whole, "sequence", {}), HasSubstr("parallel.sequence must be 1"));
  EXPECT_THAT(error(whole, "tensor", {}), HasSubstr("parallel.tensor"));
  EXPECT_THAT(error(whole, "pipeline", {}), HasSubstr("adds a loss"));
  EXPECT_THAT(error(write_gpt(folder), "tensor", {"model.attention={type: routing}"}),
              HasSubstr("parallel.tensor must be 1"));
}

TEST(DataParallel, BuffersBecomeTheirMeanOverRanks) {
  struct Buffered : nn::Module {
    Buffered() { buffers({{"statistic", statistic}, {"count", count}}); }
    Tensor statistic = Tensor::full({3}, 1.0 + world().rank());
    Tensor count = Tensor::full({1}, 7.0 + world().rank(), DType::i64);
  } module;
  average_buffers(module, world());
  const float mean = 0.5f * static_cast<float>(world().size() + 1);
  EXPECT_EQ(module.statistic.to_vector<float>(), std::vector<float>(3, mean));
  EXPECT_EQ(module.count.item(), 7.0 + world().rank());  // numbers that count are not averaged
}

TEST(DataParallel, StatisticsKeptApartAreAveraged) {
  const SharedScratch folder;
  Recorder observer;
  train_ranks(HEED_SOURCE_DIR "/recipes/base/smoke-classification.yaml", folder.path("run"),
              {"train.batch_size=24", "evaluation.batch_size=24", "train.steps=4",
               "train.eval_every=4", "schedule.warmup_steps=0", "parallel.sync_batch_norm=false"},
              observer, world());
  if (world().rank() != 0) return;
  ASSERT_EQ(observer.evals.size(), 1u);
  EXPECT_TRUE(std::isfinite(observer.evals[0].metrics.front().second));
}

TEST(DataParallel, ResumesUnderTheSameAndAnotherMesh) {
  const SharedScratch folder;
  const std::string recipe = write_gpt(folder);
  TrainObserver silent;
  const std::vector<std::string> half = {"train.steps=6", "schedule.type=constant"};
  const std::vector<std::string> all = {"schedule.type=constant"};
  train_ranks(recipe, folder.path("whole"), all, silent, world());
  train_ranks(recipe, folder.path("cut"), half, silent, world());
  const auto self = self_communicator();
  if (world().rank() == 0) {
    std::filesystem::copy(folder.path("cut"), folder.path("other"),
                          std::filesystem::copy_options::recursive);
    train_ranks(recipe, folder.path("other"), all, silent, *self, true);
  }
  train_ranks(recipe, folder.path("cut"), all, silent, world(), true);
  if (world().rank() != 0) return;
  const CheckpointContent whole = read_checkpoint(find_checkpoint(folder.path("whole")).path);
  const CheckpointContent cut = read_checkpoint(find_checkpoint(folder.path("cut")).path);
  const CheckpointContent other = read_checkpoint(find_checkpoint(folder.path("other")).path);
  expect_same_bits(whole.model, cut.model);
  expect_same_bits(whole.optimizer, cut.optimizer);
  expect_close(other.model, whole.model);
}

TEST(DataParallel, WrongMeshesAreRefusedOnEveryRank) {
  const SharedScratch folder;
  const std::string recipe = write_gpt(folder);
  TrainObserver silent;
  const auto error = [&](const std::vector<std::string>& overrides) {
    return request_error(
        [&] { train_ranks(recipe, folder.path("run"), overrides, silent, world()); });
  };
  EXPECT_THAT(
      error({"parallel.data=7"}),
      HasSubstr(fmt::format("data 7 wants 7 ranks, but there are {} (mpirun", world().size())));
  EXPECT_THAT(error({"train.batch_size=13"}), HasSubstr("do not share out evenly"));
  EXPECT_THAT(error({"evaluation.batch_size=13"}), HasSubstr("evaluation.batch_size"));
  EXPECT_FALSE(std::filesystem::exists(folder.path("run")));
}

TEST(DataParallel, ALossThatIsNotFiniteNamesTheRank) {
  const SharedScratch folder;
  const std::string recipe = write_gpt(folder);
  TrainObserver silent;
  try {
    train_ranks(recipe, folder.path("run"), {"optimizer.lr=1e30", "train.clip=0"}, silent, world());
    FAIL() << "trained";
  } catch (const AgreedError& error) {
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("step 2: the "),
                                             HasSubstr("on rank 0, the first bad tensor")));
  }
}

}  // namespace
}  // namespace heed::recipes
