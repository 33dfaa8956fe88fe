#include "recipes/engine/restoration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/files.h"
#include "data/image_formats.h"
#include "data/resample.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/measures/image_quality.h"
#include "tests/data/test_data.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

using testing::HasSubstr;

const std::string kRecipe = HEED_SOURCE_DIR "/recipes/base/smoke-restoration.yaml";
const std::string kUnet = "model={type: unet, dim: 8, multipliers: [1, 2]}";

TEST(Restoration, BeatsInterpolationAndShowsIt) {
  const Scratch folder;
  Recorder recorder;
  const EndReport end =
      train_file(kRecipe, folder.path("run"), {"train.steps=150"}, false, &recorder);
  EXPECT_GT(*find_metric(end.metrics, "psnr"),
            *find_metric(recorder.baselines, "interpolation.psnr") + 0.5);
  EXPECT_GT(*find_metric(end.metrics, "ssim"),
            *find_metric(recorder.baselines, "interpolation.ssim"));
  double best = 0;
  for (const EvalReport& report : recorder.evals) {
    best = std::max(best, *find_metric(report.metrics, "psnr"));
  }
  EXPECT_EQ(*find_metric(end.best, "psnr"), best);

  const std::string path = folder.path("run/" + recorder.samples.back().file);
  const data::Image grid = data::read_image(path);
  EXPECT_EQ(grid.width, 6 * 65 - 1) << "input, result and truth of two in a row";
  EXPECT_EQ(grid.height, 2 * 65 - 1);
}

TEST(Restoration, ResumesBitForBit) {
  const Scratch folder;
  expect_exact_resume(kRecipe, folder.path(), 6);
}

TEST(Restoration, EvaluationDoesNotDependOnTheBatchSize) {
  const Scratch folder;
  const EndReport end = train_file(kRecipe, folder.path("run"));
  const auto other = evaluate(folder.path("run"), {"evaluation.batch_size=7"});
  for (const char* metric : {"loss", "psnr", "ssim"}) {
    EXPECT_EQ(*find_metric(other.metrics, metric), *find_metric(end.metrics, metric)) << metric;
  }
}

// A model that keeps the size sees the input enlarged; noise alone is removed at a scale of 1.
TEST(Restoration, AnyModelOfImagesWillDo) {
  const Scratch folder;
  for (const std::string scale : {"1", "2"}) {
    Recorder recorder;
    const EndReport end = train_file(
        kRecipe, folder.path("unet" + scale),
        {kUnet, "train.steps=100", "data.scale=" + scale, "data.noise=[0.2]", "task.loss=mse"},
        false, &recorder);
    EXPECT_GT(*find_metric(end.metrics, "psnr"),
              *find_metric(recorder.baselines, "interpolation.psnr") + 1);
  }
}

// The eight results differ by what the untrained model adds, which is little beside the image that
// it is added to: turned back wrongly, they would spoil one another.
TEST(Restoration, EnsembleTurnsThereAndBack) {
  const Scratch folder;
  train_file(kRecipe, folder.path("run"),
             {"train.steps=2", "optimizer.lr=1e-30", "schedule={type: constant}"});
  const auto once = evaluate(folder.path("run"));
  const auto turns = evaluate(folder.path("run"), {"task.self_ensemble=true"});
  EXPECT_NE(*find_metric(turns.metrics, "psnr"), *find_metric(once.metrics, "psnr"));
  EXPECT_GT(*find_metric(turns.metrics, "psnr"), *find_metric(once.metrics, "psnr") - 0.1);
}

TEST(Restoration, SaysWhatDoesNotFit) {
  EXPECT_THAT(build_error(kRecipe, {kUnet, "model.time=true"}), HasSubstr("denoiser"));
  EXPECT_THAT(build_error(kRecipe, {"model.scale=4"}), HasSubstr("scale is 4"));
  EXPECT_THAT(build_error(kRecipe, {"data={type: procedural-images}"}), HasSubstr("image-pairs"));
  EXPECT_THAT(build_error(kRecipe, {"data.scale=3"}), HasSubstr("3 times smaller"));
  EXPECT_THAT(build_error(kRecipe, {"data.images.test=0", "task.part=test"}),
              HasSubstr("no test part"));
}

TEST(Luminance, IsThatOfBt601) {
  const Tensor rgb =
      Tensor::from(std::vector<float>{0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1}, {1, 1, 5, 3});
  const std::vector<float> y = luminance(rgb).to_vector<float>();
  const double expected[] = {16, 235, 81.481, 144.553, 40.966};
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(static_cast<double>(y[i]) * 255, expected[i], 1e-4);
  }
}

TEST(WithoutBorder, KeepsTheMiddle) {
  std::vector<float> values(20);
  for (size_t i = 0; i < 20; ++i) values[i] = static_cast<float>(i);
  const Tensor x = Tensor::from(values, {1, 4, 5, 1});
  EXPECT_EQ(without_border(x, 1).to_vector<float>(), (std::vector<float>{6, 7, 8, 11, 12, 13}));
  EXPECT_EQ(without_border(x, 0).numel(), 20);
  EXPECT_THROW(without_border(x, 2), RequestError);
}

// The luminance of 256 values, as that of an image in a file.
Tensor rounded_luminance(const data::Image& image) {
  const data::Image bytes = data::to_image(data::to_bytes(image));
  const Tensor y =
      luminance(Tensor::from(bytes.values, {1, bytes.height, bytes.width, bytes.channels}));
  std::vector<float> values = y.to_vector<float>();
  for (float& value : values) value = std::round(value * 255) / 255;
  return Tensor::from(values, y.shape());
}

// Bicubic interpolation of Set5 against the field's tables (Lim et al., arXiv 1707.02921, table 3).
// They round once, the interpolated luminance. The task does not round, which is a little better;
// rounding the colours and then their luminance is a little worse: the tables lie between, but for
// half of their last digit.
TEST(Restoration, InterpolationHasThePublishedQuality) {
  HEED_REAL_DATA(set5, "sr/set5");
  struct Published {
    int64_t scale;
    double psnr, ssim;
  };
  for (const Published& p : {Published{2, 33.66, 0.9299}, {3, 30.39, 0.8682}, {4, 28.42, 0.8104}}) {
    const std::string folder = fmt::format("{}/x{}/", set5, p.scale);
    const std::vector<std::string> targets = expand_files(folder + "hr/*.png");
    double db = 0, similar = 0;
    for (const std::string& path : targets) {
      const data::Image target = data::read_image(path, 3);
      const data::Image input = data::read_image(folder + "lr" + path.substr(path.rfind('/')), 3);
      const data::Image large = data::resize(input, target.height, target.width, "bicubic");
      const Tensor a = without_border(rounded_luminance(large), p.scale);
      const Tensor b = without_border(rounded_luminance(target), p.scale);
      db += psnr(a, b) / static_cast<double>(targets.size());
      similar += ssim(a, b) / static_cast<double>(targets.size());
    }
    EXPECT_LE(db, p.psnr + 0.005) << folder;
    EXPECT_LE(similar, p.ssim + 0.00005) << folder;

    const Recipe recipe = load_recipe(
        kRecipe,
        {fmt::format("data={{type: image-pairs, channels: 3, scale: {}, crop: 8, train: {{targets: "
                     "['{}hr']}}, validation: {{targets: ['{}hr'], inputs: ['{}lr']}}}}",
                     p.scale, folder, folder, folder),
         "task.luminance=true"});
    const auto task = make_task(recipe);
    const Metrics metrics = task->baselines(recipe.evaluation);
    EXPECT_GE(*find_metric(metrics, "interpolation.psnr"), p.psnr - 0.005) << folder;
    EXPECT_GE(*find_metric(metrics, "interpolation.ssim"), p.ssim - 0.00005) << folder;
    EXPECT_LT(*find_metric(metrics, "interpolation.psnr"), db + 0.05) << "they are close";
    EXPECT_LT(*find_metric(metrics, "interpolation.ssim"), similar + 0.0015) << "they are close";
  }
}

}  // namespace
}  // namespace heed::recipes
