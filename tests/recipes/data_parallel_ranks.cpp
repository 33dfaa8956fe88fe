// The contract of parallelism: any mesh gives the one-rank run, up to rounding.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>

#include "distributed/batch_statistics.h"
#include "distributed/world.h"
#include "tests/core/raises.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

using testing::HasSubstr;

/// A folder that all ranks see.
class SharedScratch {
 public:
  SharedScratch() : path_(world().all_gather_text(own_.path())[0]) {}
  ~SharedScratch() {
    if (std::uncaught_exceptions() == 0) world().barrier();
  }
  std::string path(const std::string& name) const { return path_ + "/" + name; }
  const Scratch& own() const { return own_; }

 private:
  Scratch own_;
  std::string path_;
};

EndReport train_ranks(const std::string& recipe, const std::string& run,
                      const std::vector<std::string>& overrides, TrainObserver& observer,
                      Communicator& ranks, bool resume = false) {
  TrainRequest request;
  request.recipe = load_recipe(recipe, overrides);
  request.run_dir = run;
  request.resume = resume;
  request.ranks = &ranks;
  return train(request, observer);
}

// Relative difference that f32 rounding grows to over a short run.
constexpr double kF32 = 1e-4;

void expect_close(const Tensor& a, const Tensor& b, const std::string& name) {
  ASSERT_EQ(a.shape(), b.shape()) << name;
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  double largest = 0.0, difference = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    largest = std::max(largest, std::abs(y[i]));
    difference = std::max(difference, std::abs(x[i] - y[i]));
  }
  EXPECT_LE(difference, kF32 * largest + 1e-6) << name;
}

// Trains a recipe file on rank 0 alone and then on all ranks, and compares all that comes out.
void expect_like_one_rank(const SharedScratch& folder, const std::string& recipe,
                          const std::vector<std::string>& overrides) {
  Recorder one, all;
  const auto self = self_communicator();
  if (world().rank() == 0) {
    train_ranks(recipe, folder.path("one"), overrides, one, *self);
  }
  train_ranks(recipe, folder.path("all"), overrides, all, world());
  if (world().rank() != 0) {
    EXPECT_TRUE(all.steps.empty()) << "only rank 0 speaks";
    return;
  }
  ASSERT_EQ(all.steps.size(), one.steps.size());
  for (size_t i = 0; i < one.steps.size(); ++i) {
    EXPECT_NEAR(all.steps[i].loss, one.steps[i].loss, kF32 * one.steps[i].loss) << i;
    EXPECT_NEAR(all.steps[i].grad_norm, one.steps[i].grad_norm, kF32 * one.steps[i].grad_norm);
    EXPECT_EQ(all.steps[i].items, one.steps[i].items);
  }
  EXPECT_LT(one.steps.back().loss, one.steps.front().loss);
  ASSERT_EQ(all.evals.size(), one.evals.size());
  for (size_t i = 0; i < one.evals.size(); ++i) {
    ASSERT_EQ(all.evals[i].metrics.size(), one.evals[i].metrics.size());
    for (size_t k = 0; k < one.evals[i].metrics.size(); ++k) {
      const auto& [name, value] = one.evals[i].metrics[k];
      EXPECT_NEAR(all.evals[i].metrics[k].second, value, kF32 * std::abs(value)) << name;
    }
  }
  const CheckpointContent x = read_checkpoint(find_checkpoint(folder.path("all")).path);
  const CheckpointContent y = read_checkpoint(find_checkpoint(folder.path("one")).path);
  ASSERT_EQ(x.model.size(), y.model.size());
  for (size_t i = 0; i < x.model.size(); ++i) {
    expect_close(x.model[i].second, y.model[i].second, x.model[i].first);
  }
  EXPECT_EQ(x.state.mesh.data, world().size());
  EXPECT_EQ(y.state.mesh.data, 1);
}

// No biases: the gradient of a key's bias is zero but for rounding, which Adam scales up to a step.
const char* kGpt = R"(
name: gpt
seed: 3
data: {type: text, files: [text.txt], validation: 0.2, tokenizer: {type: bytes}}
model: {type: gpt, layers: 2, dim: 16, heads: 2, context: 8, bias: false}
train: {steps: 12, batch_size: 12, accumulation: 2, clip: 1.0, log_every: 1, eval_every: 6}
optimizer: {type: adamw, lr: 1e-2, weight_decay: 0.1}
evaluation: {batch_size: 12}
)";

/// Writes kGpt and its text; the recipe's path.
std::string write_gpt(const SharedScratch& folder) {
  if (world().rank() == 0) {
    folder.own().write("text.txt", tiny_text());
    folder.own().write("recipe.yaml", kGpt);
  }
  world().barrier();
  return folder.path("recipe.yaml");
}

TEST(DataParallel, DecoderEqualsOneRank) {
  const SharedScratch folder;
  expect_like_one_rank(folder, write_gpt(folder), {});
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
  for (size_t i = 0; i < whole.model.size(); ++i) {
    expect_close(other.model[i].second, whole.model[i].second, whole.model[i].first);
  }
}

TEST(DataParallel, WrongMeshesAreRefusedOnEveryRank) {
  const SharedScratch folder;
  const std::string recipe = write_gpt(folder);
  TrainObserver silent;
  const auto error = [&](const std::vector<std::string>& overrides) {
    return request_error(
        [&] { train_ranks(recipe, folder.path("run"), overrides, silent, world()); });
  };
  EXPECT_THAT(error({"parallel.data=7"}),
              HasSubstr(fmt::format("data 7 wants 7 ranks, but {} were started", world().size())));
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
