#include "recipes/engine/segmentation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "data/image_codec.h"
#include "recipes/engine/evaluate.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

using testing::HasSubstr;

const std::string kRecipe = HEED_SOURCE_DIR "/recipes/base/smoke-segmentation.yaml";

TEST(Segmentation, LearnsAndShowsItsClasses) {
  const Scratch folder;
  Recorder recorder;
  const EndReport end =
      train_file(kRecipe, folder.path("run"), {"train.steps=120"}, false, &recorder);
  // The ground is found first, then the shapes' pixels; chance would be 1 / 7.
  EXPECT_GT(*find_metric(end.metrics, "pixel_accuracy"), 0.7);
  EXPECT_LT(*find_metric(end.metrics, "loss"), 1.0);
  EXPECT_GT(*find_metric(end.metrics, "mean_iou"), 0.1);
  double best = 0;
  for (const EvalReport& report : recorder.evals) {
    best = std::max(best, *find_metric(report.metrics, "mean_iou"));
  }
  EXPECT_EQ(*find_metric(end.best, "mean_iou"), best);

  const std::string path = folder.path("run/" + recorder.samples.back().file);
  const std::string bytes = read_file(path);
  const data::ByteImage grid = data::decode_image(std::as_bytes(std::span(bytes)), path);
  EXPECT_EQ(grid.width, 9 * 65 - 1) << "image, truth and prediction of three";
  EXPECT_EQ(grid.height, 64);
}

TEST(Segmentation, ResumesBitForBit) {
  const Scratch folder;
  expect_exact_resume(kRecipe, folder.path(), 6);
}

TEST(Segmentation, EvaluationDoesNotDependOnTheBatchSize) {
  const Scratch folder;
  const EndReport end = train_file(kRecipe, folder.path("run"));
  const auto other = evaluate(folder.path("run"), {"evaluation.batch_size=7"});
  EXPECT_EQ(*find_metric(other.metrics, "mean_iou"), *find_metric(end.metrics, "mean_iou"));
  EXPECT_EQ(*find_metric(other.metrics, "pixel_accuracy"),
            *find_metric(end.metrics, "pixel_accuracy"));
  EXPECT_NEAR(*find_metric(other.metrics, "loss"), *find_metric(end.metrics, "loss"), 1e-5);
}

TEST(Segmentation, SaysWhatDoesNotFit) {
  EXPECT_THAT(build_error(kRecipe, {"model.time=true"}), HasSubstr("denoiser"));
  EXPECT_THAT(build_error(kRecipe, {"model.outputs=3"}), HasSubstr("outputs is 3"));
  EXPECT_THAT(build_error(kRecipe, {"data={type: procedural-images}"}), HasSubstr("masks"));
  EXPECT_THAT(build_error(kRecipe, {"task={type: classification}",
                                    "model={type: resnet, blocks: [1], widths: [8]}"}),
              HasSubstr("one class each"));
}

}  // namespace
}  // namespace heed::recipes
