#include "recipes/engine/average.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "recipes/engine/evaluate.h"
#include "recipes/engine/export.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

CheckpointContent content_at(int64_t step, NamedTensors model) {
  CheckpointContent content;
  content.model = std::move(model);
  content.optimizer = {{"step", Tensor::scalar(step)}};
  content.state.step = step;
  content.recipe_yaml = "name: test\n";
  content.assets = [step](const std::string& folder) {
    spit(folder + "/tokenizer.json", std::to_string(step));
  };
  return content;
}

void write_steps(const Scratch& run, const std::vector<float>& values) {
  for (size_t i = 0; i < values.size(); ++i) {
    const auto step = static_cast<int64_t>(i) + 1;
    write_checkpoint(run.path(),
                     content_at(step, {{"w", Tensor::from<float>({values[i], 3.0f}, {2})},
                                       {"seen", Tensor::from<int64_t>({10 * step}, {1})}}));
  }
}

TEST(Average, IsTheMeanOfTheLastCheckpointsInF64) {
  const Scratch run, out;
  // In f32, 1e8 + 1 is 1e8: the sum would lose the ones.
  write_steps(run, {7.0f, 1e8f, 1.0f, 1.0f, -1e8f});
  const AveragedCheckpoint averaged = average_checkpoints(run.path(), out.path("mean"), 4);
  ASSERT_EQ(averaged.sources.size(), 4u);
  EXPECT_EQ(averaged.sources.front().step, 2);
  EXPECT_EQ(averaged.path, out.path("mean/checkpoints/step-00000005"));
  EXPECT_EQ(verify_checkpoint(averaged.path), "");
  const CheckpointContent read = read_checkpoint(averaged.path);
  const std::map<std::string, Tensor> model(read.model.begin(), read.model.end());
  EXPECT_THAT(model.at("w").to_vector<float>(), ElementsAre(0.5f, 3.0f));
  EXPECT_THAT(model.at("seen").to_vector<int64_t>(), ElementsAre(50));  // a counter: the last one's
  EXPECT_TRUE(read.optimizer.empty());
  EXPECT_EQ(read.state.step, 5);
  EXPECT_EQ(read.recipe_yaml, "name: test\n");
  EXPECT_EQ(slurp(averaged.path + "/tokenizer.json"), "5");
}

TEST(Average, PassesOverWhatIsDamagedAndRefusesTooFew) {
  const Scratch run, out;
  write_steps(run, {1.0f, 2.0f, 4.0f});
  spit(run.path("checkpoints/step-00000002/model.safetensors"), "broken");
  std::vector<std::string> warnings;
  const auto warn = [&](const std::string& message) { warnings.push_back(message); };
  average_checkpoints(run.path(), out.path("mean"), 2, warn);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr("step-00000002"));
  const CheckpointContent read = read_checkpoint(find_checkpoint(out.path("mean")).path);
  const std::map<std::string, Tensor> model(read.model.begin(), read.model.end());
  EXPECT_EQ(model.at("w").to_vector<float>()[0], 2.5f);
  EXPECT_THAT(request_error([&] { average_checkpoints(run.path(), out.path("other"), 3); }),
              HasSubstr("has 2 good checkpoints, and 3 are wanted (train.keep_checkpoints"));
  EXPECT_THAT(request_error([&] { average_checkpoints(run.path(), out.path("mean"), 2); }),
              HasSubstr("is there already"));
}

TEST(Average, RefusesCheckpointsThatAreNotAlike) {
  const Scratch run, out;
  const Tensor two = Tensor::from<float>({1, 2}, {2}), one = Tensor::from<float>({1}, {1});
  write_checkpoint(run.path(), content_at(1, {{"w", one}}));
  write_checkpoint(run.path(), content_at(2, {{"w", two}}));
  EXPECT_THAT(request_error([&] { average_checkpoints(run.path(), out.path("a"), 2); }),
              HasSubstr("'w' is "));
  write_checkpoint(run.path(), content_at(3, {{"v", two}}));
  EXPECT_THAT(request_error([&] { average_checkpoints(run.path(), out.path("b"), 2); }),
              HasSubstr("holds no 'v'"));
}

TEST(Average, IsARunThatIsMeasuredAndExported) {
  const Scratch folder;
  const std::string recipe = HEED_SOURCE_DIR "/recipes/base/smoke-classification.yaml";
  train_file(recipe, folder.path("run"),
             {"train.steps=6", "train.checkpoint_every=2", "train.keep_checkpoints=3"});
  average_checkpoints(folder.path("run"), folder.path("mean"), 3);
  // By hand, from what load_run() sees of each.
  std::vector<std::vector<double>> sums;
  for (const CheckpointInfo& info : list_checkpoints(folder.path("run"))) {
    const CheckpointContent content = read_checkpoint(info.path);
    sums.resize(content.model.size());
    for (size_t i = 0; i < content.model.size(); ++i) {
      const std::vector<double> values = content.model[i].second.to_vector<double>();
      sums[i].resize(values.size());
      for (size_t k = 0; k < values.size(); ++k) sums[i][k] += values[k];
    }
  }
  const CheckpointContent mean = read_checkpoint(find_checkpoint(folder.path("mean")).path);
  ASSERT_EQ(mean.model.size(), sums.size());
  for (size_t i = 0; i < sums.size(); ++i) {
    if (!is_floating(mean.model[i].second.dtype())) continue;
    const std::vector<float> values = mean.model[i].second.to_vector<float>();
    for (size_t k = 0; k < values.size(); ++k) {
      EXPECT_EQ(values[k], static_cast<float>(sums[i][k] / 3.0)) << mean.model[i].first;
    }
  }
  const Metrics measured = evaluate(folder.path("mean")).metrics;
  EXPECT_TRUE(std::isfinite(measured.front().second));
  EXPECT_NE(measured, evaluate(folder.path("run")).metrics);
  export_model(folder.path("mean"), folder.path("out"), "safetensors");
  EXPECT_TRUE(fs::exists(folder.path("out/model.safetensors")));
  // It starts another run, and holds nothing to go on from.
  train_file(recipe, folder.path("next"),
             {"train.steps=1", "schedule.warmup_steps=0", "train.from=" + folder.path("mean")});
}

}  // namespace
}  // namespace heed::recipes
