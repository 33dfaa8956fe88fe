// A linear probe of features in files, trained with LARS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/safetensors.h"
#include "recipes/engine/describe.h"
#include "recipes/engine/evaluate.h"
#include "tests/recipes/runs.h"
#include "tests/samples.h"

namespace heed::recipes {
namespace {

using ::testing::HasSubstr;

// 240 examples of 4 classes around centres of their own, in features of very different scales; of
// several vectors an example, of which the mean tells the class.
std::string write_probe(const Scratch& folder, int64_t vectors) {
  constexpr int64_t kCount = 240, kClasses = 4, kDim = 8;
  const int64_t many = std::max<int64_t>(vectors, 1);
  const Tensor noise = testing::normal({kCount, many, kDim}, "noise", DType::f32);
  const Tensor centres = testing::normal({kClasses, kDim}, "centres", DType::f32);
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < kCount; ++i) {
    labels.push_back(i % kClasses);
    for (int64_t k = 0; k < many * kDim; ++k) {
      float& x = noise.data<float>()[i * many * kDim + k];
      x += 2.0f * centres.data<float>()[i % kClasses * kDim + k % kDim];
      x *= k % kDim % 2 == 0 ? 100.0f : 0.01f;
    }
  }
  const Shape shape = vectors > 0 ? Shape{kCount, many, kDim} : Shape{kCount, kDim};
  write_safetensors(folder.path("f.safetensors"),
                    {{"x", Tensor::from(noise.to_vector<float>(), shape)},
                     {"y", Tensor::from(labels, {kCount})}});
  return folder.write("probe.yaml", R"(
name: probe
seed: 3
task: {type: classification}
data: {type: features, train: f.safetensors:x, train_labels: f.safetensors:y, hold_out: 0.25}
model: {type: linear_probe}
train: {steps: 60, batch_size: 12, accumulation: 2, clip: 0, log_every: 1, eval_every: 20,
        checkpoint_every: 20}
optimizer: {type: lars, lr: 0.3, momentum: 0.9, trust: 0.05}
evaluation: {batch_size: 12, baselines: [majority]}
)");
}

TEST(Probing, LearnsFeaturesOfAnyScaleWithLars) {
  for (const int64_t vectors : {0, 5}) {
    const Scratch folder;
    const EndReport end = train_file(write_probe(folder, vectors), folder.path("run"));
    EXPECT_GT(*find_metric(end.metrics, "accuracy"), 0.9) << vectors;
    EXPECT_EQ(evaluate(folder.path("run")).metrics, end.metrics);
  }
}

TEST(Probing, ResumesBitForBit) {
  const Scratch folder;
  expect_exact_resume(write_probe(folder, 3), folder.path(), 30);
}

TEST(Probing, DescribesItselfAndRefusesOtherModels) {
  const Scratch folder;
  const std::string recipe = write_probe(folder, 0);
  EXPECT_EQ(describe(load_recipe(recipe)).item_name, "features");
  EXPECT_THAT(build_error(recipe, {"model={type: resnet}"}),
              HasSubstr("model 'resnet' does not classify features"));
}

}  // namespace
}  // namespace heed::recipes
