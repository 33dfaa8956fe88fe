// Language models of pixels: bits per dimension, and runs that go on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "data/labelled_dataset.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/language_modeling.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

const std::string kRecipe = HEED_SOURCE_DIR "/recipes/base/smoke-pixels.yaml";

TEST(PixelModeling, BitsPerTokenAreBitsPerDimension) {
  const Scratch folder;
  const EndReport end = train_file(kRecipe, folder.path("run"), {"train.steps=60"});
  const double bits = *find_metric(end.metrics, "bits_per_token");
  EXPECT_NEAR(*find_metric(end.metrics, "bits_per_byte"), bits, 1e-12);  // a value is a byte
  EXPECT_LT(bits, 0.9 * *find_metric(end.baselines, "unigram.bits_per_byte"));

  // Image by image: -log2 p of its values, each given the mark and those before it.
  const LoadedRun run = load_run(folder.path("run"), TaskUse::evaluate);
  auto& task = dynamic_cast<LanguageModeling&>(*run.task);
  const NoGrad no_grad;
  double nats = 0.0;
  constexpr int64_t kValues = 108, kImages = 20;
  const auto images = data::open_labelled_dataset(run.recipe.data.at("images"));
  for (int64_t i = 0; i < kImages; ++i) {
    const data::ExampleRow row{i, {}, false};
    std::vector<int64_t> inputs{256}, targets;
    for (const float value :
         std::get<data::ImageBatch>(images->gather(data::Part::validation, std::span(&row, 1)))
             .images.to_vector<float>()) {
      targets.push_back(std::lround(value));
      inputs.push_back(targets.back());
    }
    inputs.pop_back();
    nats += task.model()
                .loss(Tensor::from(inputs, {1, kValues}), Tensor::from(targets, {1, kValues}))
                .item();
  }
  EXPECT_NEAR(bits, nats / kImages / std::numbers::ln2, 1e-5);
}

TEST(PixelModeling, ResumesBitForBit) {
  const Scratch folder;
  expect_exact_resume(kRecipe, folder.path(), 7);
}

}  // namespace
}  // namespace heed::recipes
