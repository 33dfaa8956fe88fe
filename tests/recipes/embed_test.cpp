#include "recipes/engine/embed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "core/files.h"
#include "core/safetensors.h"
#include "recipes/engine/export.h"
#include "recipes/engine/hf/import.h"
#include "recipes/engine/hf/sentences.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

using testing::HasSubstr;

/// A run of a small encoder over characters.
class Embed : public ::testing::Test {
 protected:
  std::string trained(const std::string& name, const std::string& model = "") const {
    folder.write("text.txt", tiny_text());
    const std::string recipe = folder.write("mlm.yaml", R"(
seed: 3
task: {type: masked_language_modeling}
data: {type: text, files: [text.txt], validation: 0.2, tokenizer: {type: chars}}
model: {type: encoder, layers: 2, dim: 16, heads: 2, context: 16, pooler: false, init_std: 0.2}
train: {steps: 2, batch_size: 4}
)");
    std::vector<std::string> overrides;
    if (!model.empty()) overrides.push_back(model);
    train_file(recipe, folder.path(name), overrides);
    return folder.path(name);
  }
  /// The same weights as a bare encoder's run, whose folder says how texts become vectors.
  std::string sentence_encoder(const std::string& modules, const std::string& pooling) const {
    export_model(trained("run"), folder.path("hub"), "hf");
    Config config = read_json_file(folder.path("hub/config.json"));
    config.erase("heed");
    config.set("architectures", Config::List{"BertModel"});
    folder.write("hub/config.json", config.to_json());
    std::filesystem::remove(folder.path("hub/heed-recipe.yaml"));
    NamedTensors bare;
    {
      const SafetensorsFile file = read_safetensors(folder.path("hub"));
      for (const auto& [name, tensor] : file.tensors) {
        if (name.starts_with("bert.")) bare.emplace_back(name.substr(5), tensor);
      }
      write_safetensors(folder.path("hub/model.safetensors"), bare);
    }
    folder.write("hub/modules.json", modules);
    folder.write("hub/1_Pooling/config.json", pooling);
    folder.write("hub/sentence_bert_config.json", R"({"max_seq_length": 9})");
    folder.write("hub/config_sentence_transformers.json",
                 R"({"prompts": {"query": "th"}, "default_prompt_name": null})");
    import_model(folder.path("hub"), folder.path("sentences"));
    return folder.path("sentences");
  }
  const Scratch folder;
};

constexpr const char* kModules = R"([
  {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
  {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
  {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}
])";

std::vector<std::string> texts() {
  const std::string all = tiny_text();
  return {all.substr(0, 5), all.substr(7, 14), all.substr(3, 1), all.substr(20, 9)};
}

std::vector<double> row(const Tensor& vectors, int64_t i) {
  const std::vector<double> all = vectors.to_vector<double>();
  return {all.begin() + i * vectors.size(1), all.begin() + (i + 1) * vectors.size(1)};
}

TEST_F(Embed, AVectorIsThatOfTheTextAlone) {
  const std::string run = trained("run");
  for (const char* pool : {"cls", "mean", "max"}) {
    TextEmbedder embedder(run, {.pool = pool, .batch_size = 3});
    const Embeddings all = embedder.embed(texts());
    EXPECT_EQ(all.vectors.shape(), (Shape{4, 16}));
    EXPECT_EQ(all.tokens, 5 + 14 + 1 + 9);
    EXPECT_EQ(all.truncated, 0);
    for (int64_t i = 0; i < 4; ++i) {
      const std::string text = texts()[static_cast<size_t>(i)];
      const auto alone = row(embedder.embed(std::span(&text, 1)).vectors, 0);
      const auto own = row(all.vectors, i);
      // Padding changes the order of sums, no more.
      for (size_t c = 0; c < own.size(); ++c) EXPECT_NEAR(own[c], alone[c], 2e-6) << pool << i;
    }
  }
}

TEST_F(Embed, PoolsStatesAsItsNameSays) {
  TextEmbedder cls(trained("run"), {.pool = "cls"}), mean(folder.path("run"), {.pool = "mean"}),
      max(folder.path("run"), {.pool = "max"});
  const std::vector<std::string> one = {texts()[2]};  // of one token: all are its state
  const auto state = row(cls.embed(one).vectors, 0);
  EXPECT_EQ(row(mean.embed(one).vectors, 0), state);
  EXPECT_EQ(row(max.embed(one).vectors, 0), state);
  const auto a = row(mean.embed(texts()).vectors, 1), b = row(max.embed(texts()).vectors, 1);
  for (size_t c = 0; c < a.size(); ++c) EXPECT_LT(a[c], b[c]) << "a mean, and the largest";
}

TEST_F(Embed, LongTextsLoseTheirEnd) {
  TextEmbedder embedder(trained("run"), {.max_tokens = 4});
  const std::vector<std::string> long_and_cut = {tiny_text().substr(0, 12),
                                                 tiny_text().substr(0, 4)};
  const Embeddings made = embedder.embed(long_and_cut);
  EXPECT_EQ(made.truncated, 1);
  EXPECT_EQ(made.tokens, 8);
  EXPECT_EQ(row(made.vectors, 0), row(made.vectors, 1));
  EXPECT_THAT(request_error([&] { TextEmbedder(folder.path("run"), {.max_tokens = 17}); }),
              HasSubstr("17 tokens of a text, and the model's positions end at 16"));
}

TEST_F(Embed, TheFolderOfASentenceEncoderSaysHow) {
  const std::string run = sentence_encoder(kModules, R"({"pooling_mode_mean_tokens": true})");
  TextEmbedder embedder(run, {}), prompted(run, {.prompt_name = "query"}),
      written(run, {.prompt = "th"}), plain(trained("again"), {.pool = "mean"});
  EXPECT_EQ(embedder.max_tokens(), 9);
  const auto vectors = embedder.embed(texts()).vectors;
  for (int64_t i : {0, 2, 3}) {  // the other is longer than nine
    const auto unit = row(vectors, i), whole = row(plain.embed(texts()).vectors, i);
    double length = 0.0;
    for (const double value : whole) length += value * value;
    for (size_t c = 0; c < unit.size(); ++c)
      EXPECT_NEAR(unit[c], whole[c] / std::sqrt(length), 1e-6) << i;
  }
  EXPECT_EQ(row(prompted.embed(texts()).vectors, 0), row(written.embed(texts()).vectors, 0));
  EXPECT_NE(row(prompted.embed(texts()).vectors, 0), row(vectors, 0));
  EXPECT_THAT(request_error([&] { TextEmbedder(run, {.prompt_name = "qerry"}); }),
              HasSubstr("no prompt 'qerry' (did you mean 'query'?); known: query"));
}

TEST_F(Embed, AnExportSaysWhatTheModelDoesNow) {
  const std::string run = sentence_encoder(kModules, R"({"pooling_mode": "max"})");
  export_model(run, folder.path("same"), "hf");
  for (const char* file : {"modules.json", "1_Pooling/config.json"})
    EXPECT_EQ(read_file(folder.path("same/" + std::string(file))),
              read_file(folder.path("hub/" + std::string(file))));
  // Another pooling in the recipe: the files follow.
  const std::string recipe = find_checkpoint(run).path;
  const CheckpointContent content = read_checkpoint(recipe);
  Config model = parse_yaml(content.recipe_yaml, "recipe").at("model");
  EXPECT_EQ(model.at("pool"), Config("max"));
  EXPECT_EQ(model.at("normalise"), Config(true));
  model.set("pool", "mean");
  model.set("normalise", false);
  const auto files = hf::sentence_files(model, recipe);
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(parse_json(files[0].second, "m").as_list().size(), 2u);
  EXPECT_EQ(parse_json(files[1].second, "p").at("pooling_mode_mean_tokens"), Config(true));
  EXPECT_EQ(parse_json(files[1].second, "p").at("pooling_mode_max_tokens"), Config(false));
  model.set("pooler", true);
  EXPECT_TRUE(hf::sentence_files(model, recipe).empty());
}

TEST_F(Embed, WhatWouldMakeOtherVectorsIsRefused) {
  const auto refusal = [&](const std::string& modules, const std::string& pooling) {
    std::filesystem::remove_all(folder.path("hub"));
    std::filesystem::remove_all(folder.path("run"));
    return request_error([&] { sentence_encoder(modules, pooling); });
  };
  EXPECT_THAT(refusal(kModules, R"({"pooling_mode": "weightedmean"})"),
              HasSubstr("pooling by 'weightedmean' is not supported; known: cls, max, mean"));
  EXPECT_THAT(refusal(kModules, R"({"pooling_mode": ["cls", "mean"]})"),
              HasSubstr("several modes"));
  EXPECT_THAT(
      refusal(kModules, R"({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true})"),
      HasSubstr("several modes"));
  EXPECT_THAT(refusal(R"([{"type": "a.Transformer"}, {"type": "a.Pooling"}, {"type": "a.Dense"}])",
                      R"({"pooling_mode": "mean"})"),
              HasSubstr("module 2 is 'Dense'"));
  EXPECT_THAT(refusal(kModules, R"({"pooling_mode": "mean", "include_prompt": false})"),
              HasSubstr("without the prompt's tokens"));
  const Scratch other;
  write_tiny(other);
  train_tiny(other, "lm", {"train.steps=4"});
  EXPECT_THAT(request_error([&] { TextEmbedder(other.path("lm"), {}); }),
              HasSubstr("a model of type 'gpt' makes no vectors of texts"));
}

TEST(Cosines, OfEqualOppositeAndNoVectors) {
  const Tensor vectors = Tensor::from(std::vector<float>{1, 2, 2, 4, -1, -2, 2, -1, 0, 0}, {5, 2});
  const std::vector<double> cosine = cosines(vectors).to_vector<double>();
  const double want[] = {1, 1, -1, 0, 0};
  for (size_t j = 0; j < 5; ++j) EXPECT_NEAR(cosine[j], want[j], 1e-15) << j;
  EXPECT_EQ(cosine[24], 0.0);
}

}  // namespace
}  // namespace heed::recipes
