#include "recipes/engine/picture_modeling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/char_tokenizer.h"
#include "data/image_codec.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/export.h"
#include "recipes/engine/generate.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

using testing::HasSubstr;

const std::string kRecipe = HEED_SOURCE_DIR "/recipes/base/smoke-llava.yaml";

// A reader of two states an image, which stand for id 90.
struct Reader : nn::ImageReader {
  int64_t image_token() const override { return 90; }
  int64_t image_tokens() const override { return 2; }
  Shape image_shape() const override { return {4, 4, 3}; }
  Tensor forward_with(const Tensor&, const Tensor&) override { return {}; }
  Tensor loss_with(const Tensor&, const Tensor&, const Tensor&) override { return {}; }
  double image_flops() const override { return 0; }
  Tensor decode_with(const Tensor&, const Tensor&, nn::DecodeState&) override { return {}; }
};

TEST(PictureRow, AnswersAloneAreLearnt) {
  const data::CharTokenizer tokenizer({'?', 'a', 'b', 'u'});  // ids 0 1 2 3
  const Reader reader;
  const auto row = [&](const std::vector<data::Turn>& turns, const std::string& format) {
    return picture_row(turns, format, tokenizer, reader, 4);
  };
  const PictureRow caption = row({{"", "ab"}}, "{}");
  EXPECT_EQ(caption.ids, (std::vector<data::TokenId>{90, 90, 1, 2, 4}));
  EXPECT_EQ(caption.learnt, (std::vector<bool>{false, false, true, true, true}));
  const PictureRow two = row({{"u<image>", "a"}, {"?", "b"}}, "{}?");
  EXPECT_EQ(two.ids, (std::vector<data::TokenId>{3, 90, 90, 0, 1, 4, 0, 0, 2, 4}));
  EXPECT_EQ(two.learnt,
            (std::vector<bool>{false, false, false, false, true, true, false, false, true, true}));
}

std::string picture(const Scratch& folder, const std::string& name, int64_t index) {
  data::ShapeCaptionOptions options;
  options.size = 16;
  const data::ShapeCaption made = data::shape_caption(options, data::Part::validation, index);
  return folder.write(name, data::encode_png(made.image));
}

TEST(PictureModeling, TheTowerStaysAsItIsUnlessToldOtherwise) {
  const Scratch folder;
  train_file(kRecipe, folder.path("run"), {"train.steps=4"});
  train_file(kRecipe, folder.path("all"), {"train.steps=4", "task.freeze=[]"});
  const auto weights = [&](const char* run) {
    return read_checkpoint(find_checkpoint(folder.path(run)).path).model;
  };
  // Fresh weights of the same seed.
  const auto fresh = make_task(load_recipe(kRecipe));
  fresh->module().initialise(7);
  const NamedTensors before = nn::state_dict(fresh->module());
  int64_t frozen = 0, moved = 0, tower = 0;
  for (const auto& [name, tensor] : before) {
    const auto same = [&](const NamedTensors& after) {
      return std::any_of(after.begin(), after.end(), [&, n = name, t = tensor](const auto& other) {
        return other.first == n && same_bits(other.second, t);
      });
    };
    const bool vision = name.starts_with("vision.");
    tower += vision ? 1 : 0;
    frozen += vision && same(weights("run")) ? 1 : 0;
    moved += vision && !same(weights("all")) ? 1 : 0;
    if (name == "projector.up.weight") {
      EXPECT_FALSE(same(weights("run")));
    }
  }
  EXPECT_EQ(frozen, tower);
  EXPECT_GT(moved, tower / 2);
}

TEST(PictureModeling, ResumesBitForBit) {
  const Scratch folder;
  expect_exact_resume(kRecipe, folder.path(), 7, {});
}

TEST(PictureModeling, EvaluationDoesNotDependOnTheBatchSize) {
  const Scratch folder;
  train_file(kRecipe, folder.path("run"), {});
  const Metrics a = evaluate(folder.path("run"), {"evaluation.batch_size=20"}).metrics;
  const Metrics b = evaluate(folder.path("run"), {"evaluation.batch_size=7"}).metrics;
  ASSERT_EQ(a.size(), 3u);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i].second, b[i].second, 1e-5) << a[i].first;
  EXPECT_NE(evaluate(folder.path("run"), {"task.part=test"}).metrics, a);
}

TEST(PictureModeling, LearnsToNameColoursAndSeesWhatItIsShown) {
  const Scratch folder;
  const EndReport end = train_file(
      kRecipe, folder.path("run"),
      {"task.freeze=[]", "data={type: shape-captions, size: 16, train: 2000, validation: 60}",
       "model.vision={height: 16, width: 16, patch: 4, layers: 2, dim: 32, heads: 2, hidden: 64, "
       "layer: -1}",
       "model.text={layers: 2, dim: 32, heads: 2, context: 64, position: rotary}",
       "train={steps: 300, batch_size: 32, accumulation: 1, ema: 0, eval_every: 0, "
       "checkpoint_every: 0}",
       "optimizer.lr=0.005"});
  // Of the colour, the shape, the end and the letters between, blind guesses get fewer.
  const double seen = *find_metric(end.metrics, "accuracy");
  const Metrics blind = evaluate(folder.path("run"), {"data.blind=true"}).metrics;
  EXPECT_GT(seen, *find_metric(blind, "accuracy") + 0.05);
  const LoadedRun run = load_run(folder.path("run"), TaskUse::generate);
  auto* reader = dynamic_cast<PictureReader*>(run.task.get());
  ASSERT_NE(reader, nullptr);
  std::set<std::string> texts;
  for (int64_t i = 0; i < 6; ++i) {
    const Generated text =
        reader->generate_about(picture(folder, fmt::format("{}.png", i), i), run.checkpoint.path,
                               "", {.max_tokens = 40, .greedy = true}, {});
    EXPECT_TRUE(text.text.starts_with("a ")) << text.text;
    EXPECT_EQ(text.stopped_by, "end") << text.text;
    texts.insert(text.text);
  }
  EXPECT_GT(texts.size(), 1u) << "another picture, another text";
}

TEST(PictureModeling, ItsProcessorComesAlongAndGoesWithAnExport) {
  const Scratch folder;
  const std::string config = folder.write(
      "processor.json", R"({"do_resize": false, "do_center_crop": false, "image_mean": [0, 0, 0],
                            "image_std": [1, 1, 1]})");
  train_file(kRecipe, folder.path("run"), {"train.steps=4", "data.processor=" + config});
  std::filesystem::remove(config);
  evaluate(folder.path("run"));  // the run has its own
  train_file(kRecipe, folder.path("next"),
             {"train.steps=4", "data.processor=" + folder.path("run")});
  export_model(folder.path("next"), folder.path("hub"), "hf");
  EXPECT_EQ(read_json_file(folder.path("hub/preprocessor_config.json")).at("do_resize"),
            Config(false));
}

TEST(PictureModeling, WhatCannotBeIsRefused) {
  EXPECT_THAT(build_error(kRecipe, {"model={type: gpt, layers: 1, dim: 16, heads: 2}"}),
              HasSubstr("'gpt' reads no pictures"));
  EXPECT_THAT(build_error(kRecipe, {"task.freeze=[visoin]"}),
              HasSubstr("'visoin' matches no module"));
  EXPECT_THAT(build_error(kRecipe, {"model.text.context=8"}), HasSubstr("no example fits"));
  EXPECT_THAT(build_error(kRecipe, {"task.sampling=epochs"}),
              HasSubstr("the data are image-texts"));
  const Scratch folder;
  train_file(kRecipe, folder.path("run"), {"train.steps=4"});
  const LoadedRun run = load_run(folder.path("run"), TaskUse::generate);
  EXPECT_FALSE(run.task->generate("", {.max_tokens = 3}, {}).ids.empty()) << "text alone";
}

}  // namespace
}  // namespace heed::recipes
