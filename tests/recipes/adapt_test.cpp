#include "recipes/engine/adapt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "core/safetensors.h"
#include "nn/layers/linear.h"
#include "nn/layers/low_rank.h"
#include "nn/resized_table.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/export.h"
#include "tests/recipes/runs.h"
#include "tests/recipes/tiny_images.h"

namespace heed::recipes {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const char* const kEncoder =
    "model={type: encoder, layers: 1, dim: 16, heads: 2, dropout: 0.1, attention_dropout: 0}";
const char* const kLora =
    "lora={rank: 2, dropout: 0.1, targets: ['*.attn.*', '*.mlp.*'], "
    "also: [classifier]}";

std::map<std::string, Tensor> weights(const std::string& run) {
  const NamedTensors model = read_checkpoint(find_checkpoint(run).path).model;
  return {model.begin(), model.end()};
}

TEST(Adapt, LeavesTheBaseAndTrainsUpdatesAndHead) {
  const Scratch folder;
  const std::string recipe = write_tiny_texts(folder);
  train_file(recipe, folder.path("base"), {kEncoder});
  train_file(recipe, folder.path("tuned"), {kEncoder, kLora, "train.from=" + folder.path("base")});
  const auto base = weights(folder.path("base")), tuned = weights(folder.path("tuned"));
  size_t updates = 0;
  for (const auto& [name, tensor] : tuned) {
    if (is_update(name)) {
      ++updates;
    } else {
      EXPECT_EQ(same_bits(tensor, base.at(name)), !name.starts_with("classifier.")) << name;
    }
  }
  EXPECT_EQ(updates, 2u * 4u);  // qkv, out, up, down
  EXPECT_FALSE(same_bits(tuned.at("blocks.0.mlp.up.lora.up.weight"),
                         Tensor::zeros(tuned.at("blocks.0.mlp.up.lora.up.weight").shape())));
}

TEST(Adapt, StartsWhereTheBaseIs) {
  const Scratch folder;
  const std::string recipe = write_tiny_texts(folder);
  const EndReport base = train_file(recipe, folder.path("base"), {kEncoder});
  const EndReport tuned =
      train_file(recipe, folder.path("tuned"),
                 {kEncoder, kLora, "train.from=" + folder.path("base"), "train.steps=0"});
  EXPECT_EQ(tuned.metrics, base.metrics);
}

TEST(Adapt, ResumesBitForBit) {
  const Scratch folder;
  const std::string recipe = write_tiny_texts(folder);
  train_file(recipe, folder.path("base"), {kEncoder});
  expect_exact_resume(recipe, folder.path("runs"), 7,
                      {kEncoder, kLora, "train.from=" + folder.path("base")});
}

TEST(Adapt, ExportMergesTheUpdates) {
  const Scratch folder;
  const std::string recipe = write_tiny_texts(folder);
  const EndReport tuned =
      train_file(recipe, folder.path("tuned"), {kEncoder, kLora, "train.steps=40"});
  export_model(folder.path("tuned"), folder.path("out"), "safetensors");
  const std::string file = folder.path("out/model.safetensors");
  for (const auto& [name, tensor] : read_safetensors(file).tensors) {
    EXPECT_FALSE(is_update(name)) << name;
  }
  const EndReport plain =
      train_file(recipe, folder.path("plain"), {kEncoder, "train.from=" + file, "train.steps=0"});
  for (size_t i = 0; i < tuned.metrics.size(); ++i) {
    EXPECT_NEAR(plain.metrics[i].second, tuned.metrics[i].second, 1e-5) << tuned.metrics[i].first;
  }
}

/// Fine-tunes a language model with `overrides` from a run of its own; expects the export of the
/// result to measure as it does.
std::map<std::string, Tensor> tune_language_model(const Scratch& folder,
                                                  const std::vector<std::string>& overrides) {
  const std::string recipe = write_tiny(folder);
  std::vector<std::string> base = {"train.ema=0", "evaluation.baselines=[]"};
  std::vector<std::string> tune = {"train.from=" + folder.path("base"), "model.dropout=0"};
  for (const std::string& text : overrides) {
    (text.starts_with("lora") ? tune : base).push_back(text);
  }
  tune.insert(tune.begin(), base.begin(), base.end());
  train_file(recipe, folder.path("base"), base);
  const EndReport tuned = train_file(recipe, folder.path("tuned"), tune);
  export_model(folder.path("tuned"), folder.path("out"), "safetensors");
  base.push_back("train.from=" + folder.path("out/model.safetensors"));
  base.push_back("train.steps=0");
  const EndReport plain = train_file(recipe, folder.path("plain"), base);
  EXPECT_NEAR(plain.metrics[0].second, tuned.metrics[0].second, 1e-5);
  return weights(folder.path("tuned"));
}

TEST(Adapt, TunesALanguageModel) {
  const Scratch folder;
  const auto tuned = tune_language_model(folder, {"lora={rank: 2, dropout: 0.1}"});
  const auto base = weights(folder.path("base"));
  size_t updates = 0;
  for (const auto& [name, tensor] : tuned) {
    updates += is_update(name) ? 1 : 0;
    EXPECT_TRUE(is_update(name) || same_bits(tensor, base.at(name))) << name;
  }
  EXPECT_EQ(updates, 2u * 2u * 4u);  // of two blocks: qkv, out, up, down
}

// The loss multiplies by the projection's weight itself, without the layer's forward.
TEST(Adapt, TunesAnUntiedProjectionToo) {
  const Scratch folder;
  const auto tuned =
      tune_language_model(folder, {"model.tied=false", "lora={rank: 2, targets: [head]}"});
  const Tensor& up = tuned.at("head.lora.up.weight");
  EXPECT_FALSE(same_bits(up, Tensor::zeros(up.shape()))) << "nothing was learnt";
}

TEST(Adapt, SaysThatATiedProjectionHasNoUpdate) {
  const Scratch folder;
  EXPECT_THAT(build_error(write_tiny(folder), {"lora={rank: 2, targets: [head]}"}),
              HasSubstr("lora.targets: 'head' matches nothing"));
}

TEST(Adapt, SmokeRecipeGoesOnFromTheOther) {
  const Scratch folder;
  const std::string recipes = HEED_SOURCE_DIR "/recipes/base/";
  train_file(recipes + "smoke.yaml", folder.path("base"), {"evaluation.baselines=[]"});
  Recorder recorder;
  train_file(recipes + "smoke-lora.yaml", folder.path("tuned"),
             {"train.from=" + folder.path("base"), "data.tokenizer.file=" + folder.path("base"),
              "evaluation.baselines=[]"},
             false, &recorder);
  EXPECT_TRUE(recorder.warnings.empty());
  const double base = *find_metric(evaluate(folder.path("base")).metrics, "loss");
  EXPECT_LT(*find_metric(evaluate(folder.path("tuned")).metrics, "loss"), base);
}

TEST(Adapt, AMergedLayerGivesWhatTheTwoGave) {
  for (const Activation activation : {Activation::none, Activation::gelu, Activation::relu}) {
    nn::Linear layer(40, 30);
    layer.adapt({.rank = 3, .alpha = 6.0});
    layer.initialise(4);
    Tensor& up = layer.lora->up.weight;
    for (int64_t i = 0; i < up.numel(); ++i) up.data<float>()[i] = 0.01f * static_cast<float>(i);
    const NoGrad no_grad;
    Tensor x = Tensor::empty({5, 40});
    for (int64_t i = 0; i < x.numel(); ++i) {
      x.data<float>()[i] = std::sin(static_cast<float>(i));
    }
    const auto apart = layer.forward(x, activation).to_vector<float>();
    layer.merge();
    const auto merged = layer.forward(x, activation).to_vector<float>();
    for (size_t i = 0; i < apart.size(); ++i) {
      EXPECT_NEAR(merged[i], apart[i], 64 * 0x1p-23 * 10);  // sums of 40 + 3 terms, below 10
    }
  }
}

TEST(StartFrom, NamesWhatItLeavesFresh) {
  const Scratch folder;
  const std::string recipe = write_tiny_images(folder);
  train_file(recipe, folder.path("base"));
  Recorder recorder;
  train_file(recipe, folder.path("other"),
             {"data.content=textures", "train.from=" + folder.path("base"), "train.steps=1"}, false,
             &recorder);
  ASSERT_EQ(recorder.warnings.size(), 1u);
  EXPECT_THAT(recorder.warnings[0], AllOf(HasSubstr("nothing that fits: head.weight, head.bias;"),
                                          HasSubstr(folder.path("base"))));
}

TEST(StartFrom, ResizesTablesOfPositions) {
  const Scratch folder;
  const std::string recipe = write_tiny_images(folder);
  const std::string model = "model={type: vit, patch: 4, layers: 1, dim: 8, heads: 2}";
  train_file(recipe, folder.path("base"), {model, "train.steps=1"});
  Recorder recorder;
  train_file(recipe, folder.path("larger"),
             {model, "data.size=16", "data.transforms=[]", "train.from=" + folder.path("base"),
              "train.steps=1", "optimizer.lr=1e-30"},
             false, &recorder);
  EXPECT_THAT(recorder.warnings, testing::IsEmpty());
  const auto table = [&](const std::string& run) {
    return weights(folder.path(run)).at("position.weight");
  };
  const Tensor expected = nn::resized_rows(table("base"), 1, 4, 4);
  EXPECT_EQ(table("larger").shape(), (Shape{17, 8}));
  EXPECT_TRUE(same_bits(table("larger"), expected));
}

TEST(StartFrom, RefusesWhatFitsNowhere) {
  const Scratch folder;
  const std::string images = write_tiny_images(folder), texts = write_tiny_texts(folder);
  train_file(texts, folder.path("texts"), {"train.steps=1"});
  EXPECT_THAT(request_error([&] {
                train_file(images, folder.path("run"), {"train.from=" + folder.path("texts")});
              }),
              HasSubstr("no tensor of"));
  EXPECT_THAT(build_error(images, {"lora={rank: 2, targets: [nowhere]}"}),
              HasSubstr("lora.targets: 'nowhere' matches nothing"));
}

TEST(AdaptiveClip, BoundsTheStepOfEachUnit) {
  const Scratch folder;
  const std::string recipe = write_tiny_images(folder);
  const std::vector<std::string> sgd = {"optimizer={type: sgd, lr: 1.0, weight_decay: 0}",
                                        "schedule={type: constant}", "train.clip=0",
                                        "train.steps=1", "train.eval_every=0"};
  std::vector<std::string> clipped = sgd;
  clipped.push_back("train.adaptive_clip=0.001");
  clipped.push_back("train.adaptive_clip_skip=[\"head.*\"]");
  const auto before = make_task(load_recipe(recipe));
  before->module().initialise(3);
  train_file(recipe, folder.path("free"), sgd);
  train_file(recipe, folder.path("clipped"), clipped);
  const auto free_weights = weights(folder.path("free")), bound = weights(folder.path("clipped"));
  EXPECT_TRUE(same_bits(free_weights.at("head.weight"), bound.at("head.weight")));
  const auto old = nn::state_dict(before->module());
  for (const auto& [name, tensor] : old) {
    if (name != "stem.weight") continue;
    const int64_t units = tensor.size(0), width = tensor.numel() / units;
    for (int64_t unit = 0; unit < units; ++unit) {
      double moved = 0.0, size = 0.0;
      for (int64_t i = unit * width; i < (unit + 1) * width; ++i) {
        const double was = tensor.data<float>()[i];
        moved += std::pow(bound.at(name).data<float>()[i] - was, 2);
        size += was * was;
      }
      EXPECT_LE(std::sqrt(moved), 0.001 * std::sqrt(size) * 1.01) << unit;
    }
  }
}

}  // namespace
}  // namespace heed::recipes
