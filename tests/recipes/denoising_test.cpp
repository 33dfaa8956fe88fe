#include "recipes/engine/denoising.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/files.h"
#include "data/image_codec.h"
#include "recipes/engine/describe.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/generate.h"
#include "recipes/engine/report.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kRecipe = HEED_SOURCE_DIR "/recipes/base/smoke-denoising.yaml";

const std::vector<std::string> kFlow = {
    "task={type: denoising, schedule: flow, conditional: true, evaluation_times: 4, sampler: "
    "{steps: 4}}",
    "model={type: dit, patch: 4, layers: 1, dim: 16, heads: 2}"};

data::ByteImage picture(const std::string& path) {
  const std::string bytes = read_file(path);
  return data::decode_image(std::as_bytes(std::span(bytes)), path);
}

TEST(Denoising, TrainsSamplesAndReports) {
  const Scratch folder;
  Recorder recorder;
  const EndReport end =
      train_file(kRecipe, folder.path("run"), {"train.steps=150"}, false, &recorder);
  // A model that knows nothing predicts 0: the mean square of the velocity, between the data's and
  // the noise's 1.
  EXPECT_LT(recorder.evals.back().metrics[0].second,
            0.6 * recorder.evals.front().metrics[0].second);
  EXPECT_EQ(end.metrics.front().first, "loss");
  EXPECT_EQ(recorder.steps.back().items, 150 * 8);

  // Five samples in a grid of three columns, enlarged to 64 pixels.
  ASSERT_FALSE(recorder.samples.empty());
  const SampleReport& sample = recorder.samples.back();
  EXPECT_EQ(sample.file, "samples/step-00000150.png");
  const data::ByteImage grid = picture(folder.path("run/" + sample.file));
  EXPECT_EQ(grid.width, 3 * 65 - 1);
  EXPECT_EQ(grid.height, 2 * 65 - 1);
  EXPECT_EQ(grid.channels, 3);
  EXPECT_THAT(report_page({folder.path("run")}),
              HasSubstr("src=\"data:image/png;base64,iVBORw0KGgo"));
}

TEST(Denoising, ResumesBitForBit) {
  for (const auto& overrides : {std::vector<std::string>{}, kFlow}) {
    const Scratch folder;
    expect_exact_resume(kRecipe, folder.path(), 6, overrides);
  }
}

TEST(Denoising, AccumulationChangesNothingOfWhatAStepSees) {
  const auto batches = [](const std::vector<std::string>& overrides) {
    const auto task = make_task(load_recipe(kRecipe, overrides));
    std::vector<float> values;
    for (int step = 0; step < 2; ++step) {
      for (int64_t part = 0; part < load_recipe(kRecipe, overrides).train.accumulation; ++part) {
        const Batch batch = task->next_batch();
        const auto now = batch["x"].to_vector<float>();
        values.insert(values.end(), now.begin(), now.end());
      }
    }
    return values;
  };
  EXPECT_EQ(batches({}), batches({"train.batch_size=8", "train.accumulation=1"}));
}

TEST(Denoising, EvaluationIsFreeOfChanceAndOfTheBatchSize) {
  const Scratch folder;
  const EndReport end = train_file(kRecipe, folder.path("run"));
  const double loss = *find_metric(end.metrics, "loss");
  EXPECT_DOUBLE_EQ(*find_metric(evaluate(folder.path("run")).metrics, "loss"), loss);
  const auto other = evaluate(folder.path("run"), {"evaluation.batch_size=5"});
  // Sums in another order, of f32 means of some 200 squares.
  EXPECT_NEAR(*find_metric(other.metrics, "loss"), loss, 1e-5 * loss);
}

TEST(Denoising, DrawsTheSameWithTheSameSeedWithoutTheData) {
  const Scratch folder;
  train_file(kRecipe, folder.path("run"));
  const auto draw = [&](const std::string& name, std::optional<int64_t> seed) {
    const auto files = generate_files(folder.path("run"), folder.path(name), 4, seed,
                                      {"data.type=image-folder", "data.train=nowhere"});
    EXPECT_EQ(files, std::vector<std::string>{folder.path(name)});
    return slurp(files.at(0));
  };
  const std::string once = draw("a.png", 3);
  EXPECT_EQ(once, draw("b.png", 3));
  EXPECT_NE(once, draw("c.png", 4));
  EXPECT_EQ(picture(folder.path("a.png")).width, 2 * 65 - 1);
  EXPECT_THAT(request_error([&] { generate_files(folder.path("run"), "x.jpg", 4, {}); }),
              HasSubstr(".png"));
  EXPECT_THAT(request_error([&] { generate(folder.path("run"), "", {}); }), HasSubstr("--out"));
}

TEST(Denoising, LearnsClips) {
  const Scratch folder;
  const std::vector<std::string> clips = {
      "data={type: moving-shapes, frames: 4, size: 8, shapes: 1, train: 40, validation: 4}",
      "task={type: denoising, schedule: flow, evaluation_times: 2, sampler: {steps: 2}}",
      "model={type: dit, patch: 4, patch_frames: 2, layers: 1, dim: 16, heads: 2}",
      "samples.count=2"};
  Recorder recorder;
  train_file(kRecipe, folder.path("run"), clips, false, &recorder);
  const data::ByteImage grid = picture(folder.path("run/" + recorder.samples.back().file));
  EXPECT_EQ(grid.width, 4 * 65 - 1) << "a clip is a row";
  EXPECT_EQ(grid.height, 2 * 65 - 1);
}

TEST(Denoising, SaysWhatDoesNotFit) {
  EXPECT_THAT(build_error(kRecipe, {"task.conditional=false"}), HasSubstr("guidance"));
  EXPECT_THAT(build_error(kRecipe, {"model.time=false"}), HasSubstr("denoiser"));
  EXPECT_THAT(build_error(kRecipe, {"model.outputs=6"}), HasSubstr("outputs is 6"));
  EXPECT_THAT(build_error(kRecipe, {"model={type: vit}"}), HasSubstr("images into images"));
  EXPECT_THAT(build_error(kRecipe, {"data={type: shape-scenes}"}), HasSubstr("masks"));
  EXPECT_THAT(build_error(kRecipe, {"task.schedule=flow", "task.prediction=noise"}),
              HasSubstr("velocity"));
  const Scratch folder;
  EXPECT_THROW(train_file(kRecipe, folder.path("run"),
                          {"data.transforms=[{type: normalise, mean: [0.5], std: [0.1]}]"}),
               Error);
}

TEST(Denoising, RecipesDescribeThemselves) {
  for (const char* name : {"shapes-ddpm", "shapes-flow", "shapes-segmentation"}) {
    const Recipe recipe =
        load_recipe(fmt::format("{}/recipes/base/{}.yaml", HEED_SOURCE_DIR, name));
    EXPECT_EQ(recipe.name, name);
    EXPECT_GT(make_task(recipe)->flops_per_step(), 1e9);
  }
}

}  // namespace
}  // namespace heed::recipes
