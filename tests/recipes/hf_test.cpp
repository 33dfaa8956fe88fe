// Import and export of model folders in the Hugging Face format, without another package: round
// trips, and requests that must fail. tests/interop/hf_check.py compares with transformers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/views.h"
#include "recipes/engine/generate.h"
#include "recipes/engine/hf/config_map.h"
#include "recipes/engine/hf/tensor_map.h"
#include "tests/recipes/hub_runs.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class HuggingFace : public HubRuns {
 protected:
  /// Trains a moment, exports, and imports what came out.
  void there_and_back(const std::vector<std::string>& overrides) {
    train("run", overrides);
    export_model(folder.path("run"), folder.path("hub"), "hf");
    import_model(folder.path("hub"), folder.path("back"));
  }
  Config config() const { return read_json_file(folder.path("hub/config.json")); }
  void expect_nothing_lost() const {
    expect_same_bits(content("run").model, content("back").model);
    EXPECT_EQ(content("run").recipe_yaml, content("back").recipe_yaml);
  }
  /// Exports a model of Llama's shape, and writes its config.json anew with a change.
  void llama_with(const std::string& key, const Config& value) {
    if (!fs::exists(folder.path("hub"))) there_and_back({kLlama});
    Config changed = config();
    changed.erase("heed");
    changed.set(key, value);
    write_file_atomically(folder.path("hub/config.json"), changed.to_json(2));
  }
  std::string refusal() const { return HubRuns::refusal("hub"); }
  /// "no error" of the folder as it is now.
  std::string refusal_of_sound() const {
    return request_error([&] { import_model(folder.path("hub"), folder.path("sound")); });
  }
};

TEST_F(HuggingFace, ModelsOfEachFamilyComeBackAsTheyWere) {
  there_and_back({});
  EXPECT_EQ(config().at("model_type"), Config("gpt2"));
  expect_nothing_lost();
}

TEST_F(HuggingFace, LlamasComeBackAsTheyWere) {
  there_and_back({kLlama});
  EXPECT_EQ(config().at("model_type"), Config("llama"));
  EXPECT_EQ(config().at("num_key_value_heads"), Config(2));
  expect_nothing_lost();
}

TEST_F(HuggingFace, WhatNoFamilyHasIsOfHeedsOwnType) {
  there_and_back({kLlama, "model.attention={type: power, block: 2, window: 1}"});
  EXPECT_EQ(config().at("model_type"), Config("heed"));
  EXPECT_EQ(config().at("heed").at("names"), Config("llama"));
  const SafetensorsFile file = read_safetensors(folder.path("hub"));
  EXPECT_TRUE(file.find("model.layers.1.self_attn.k_proj.weight").defined());
  expect_nothing_lost();
}

TEST_F(HuggingFace, QueriesKeysAndValuesAreApart) {
  there_and_back({kLlama});
  const SafetensorsFile file = read_safetensors(folder.path("hub"));
  Tensor packed;
  for (const auto& [name, tensor] : content("run").model) {
    if (name == "blocks.1.attn.qkv.weight") packed = tensor;
  }
  const Tensor keys = file.find("model.layers.1.self_attn.k_proj.weight");
  EXPECT_EQ(keys.shape(), (Shape{8, 16}));  // two heads of four
  EXPECT_EQ(keys.to_vector<float>(), views::slice(packed, 0, 16, 24).to_vector<float>());
}

TEST_F(HuggingFace, Gpt2sMatricesLieTransposed) {
  there_and_back({});
  const SafetensorsFile file = read_safetensors(folder.path("hub"));
  const Tensor theirs = file.find("transformer.h.0.attn.c_attn.weight");
  EXPECT_EQ(theirs.shape(), (Shape{16, 48}));
  for (const auto& [name, tensor] : content("run").model) {
    if (name != "blocks.0.attn.qkv.weight") continue;
    EXPECT_EQ(theirs.to_vector<float>(), views::transpose(tensor, 0, 1).to_vector<float>());
  }
}

TEST_F(HuggingFace, ShardsHoldWhatOneFileDoes) {
  there_and_back({});
  export_model(folder.path("run"), folder.path("shards"), "hf", {}, 4000);
  EXPECT_TRUE(fs::exists(folder.path("shards/model.safetensors.index.json")));
  EXPECT_FALSE(fs::exists(folder.path("shards/model.safetensors")));
  import_model(folder.path("shards"), folder.path("again"));
  expect_same_bits(content("back").model, content("again").model);
}

TEST_F(HuggingFace, AnImportedModelGeneratesAsTheOneItWas) {
  there_and_back({kLlama});
  GenerateOptions options;
  options.greedy = true;
  options.max_tokens = 20;
  EXPECT_EQ(generate(folder.path("back"), "line 4", options).ids,
            generate(folder.path("run"), "line 4", options).ids);
}

TEST_F(HuggingFace, AnImportedModelCanBeTrainedOn) {
  there_and_back({});
  const EndReport end = train_tiny(folder, "tuned", {"train.from=" + folder.path("back")});
  EXPECT_EQ(end.step, 12);
}

TEST_F(HuggingFace, KeysThatMightChangeTheMathematicsAreRefused) {
  llama_with("logit_scale", 0.5);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("hub/config.json:"), HasSubstr("'logit_scale'")));
}

TEST_F(HuggingFace, HarmlessKeysComeBack) {
  llama_with("bos_token_id", 7);
  import_model(folder.path("hub"), folder.path("kept"));
  export_model(folder.path("kept"), folder.path("again"), "hf");
  EXPECT_EQ(read_file(folder.path("again/config.json")), read_file(folder.path("hub/config.json")));
}

TEST_F(HuggingFace, WrongRequestsAreNamed) {
  llama_with("model_type", "gemma9");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("'gemma9'"), HasSubstr("known: llama, mistral")));
  llama_with("model_type", "llama");
  llama_with("architectures", Config::List{"LlamaForTea"});
  EXPECT_THAT(refusal(), HasSubstr("known: LlamaForCausalLM"));
  llama_with("architectures", Config::List{"LlamaForCausalLM"});
  llama_with("rope_scaling", Config::Map{{"rope_type", "yarn"}, {"factor", 2.0}});
  EXPECT_THAT(refusal(), HasSubstr("'yarn'"));
  llama_with("rope_scaling", Config());
  llama_with("intermediate_size", 40);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("'model.layers.0.mlp.gate_proj.weight' has shape"),
                               HasSubstr("expected")));
  fs::remove(folder.path("hub/model.safetensors"));
  EXPECT_THAT(refusal(), HasSubstr("holds neither model.safetensors nor"));
}

TEST_F(HuggingFace, WhatConfigClaimsIsNotBuiltUnseen) {
  for (const int64_t layers : {int64_t{-1}, int64_t{0}, int64_t{5000}, int64_t{1} << 60}) {
    llama_with("num_hidden_layers", layers);
    EXPECT_THAT(refusal(), HasSubstr("layers")) << layers;
  }
  llama_with("num_hidden_layers", 2);
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_attention_heads",
                          "num_key_value_heads", "max_position_embeddings", "num_hidden_layers"}) {
    const Config before = config().at(key);
    for (const Config& value : {Config(int64_t{1} << 62), Config(-3), Config(1e300)}) {
      llama_with(key, value);
      EXPECT_THAT(refusal(), AllOf(HasSubstr("hub/config.json:"),
                                   HasSubstr(fmt::format("'{}' is {}", key, value.to_json()))));
    }
    llama_with(key, before);
  }
  EXPECT_EQ(refusal_of_sound(), "no error");
}

TEST_F(HuggingFace, NumbersOfTheOwnPartHaveTheSameBounds) {
  there_and_back({kLlama, "model.attention={type: power, block: 2, window: 1}"});
  Config own = config().at("heed");
  own.find("model")->set("dim", int64_t{1} << 40);
  set("hub/config.json", "heed", own);
  EXPECT_THAT(refusal(), HasSubstr("'heed.model.dim' is 1099511627776; it must be 1 to 1048576"));
}

TEST_F(HuggingFace, NamesOfKeptFilesLeadNowhereElse) {
  there_and_back({});
  folder.write("hub/..%..%outside.json", "{}");
  folder.write("hub/1_Pooling/config.json", "{}");
  import_model(folder.path("hub"), folder.path("kept"));
  export_model(folder.path("kept"), folder.path("deep/below/again"), "hf");
  EXPECT_FALSE(fs::exists(folder.path("deep/outside.json")));
  EXPECT_FALSE(fs::exists(folder.path("outside.json")));
  EXPECT_TRUE(fs::exists(folder.path("deep/below/again/..%..%outside.json")));
  EXPECT_TRUE(fs::exists(folder.path("deep/below/again/1_Pooling/config.json")));
}

TEST_F(HuggingFace, NormsMayHaveTheNamesOfTensorFlow) {
  there_and_back({});
  const std::string path = folder.path("hub/model.safetensors");
  NamedTensors renamed;
  for (auto [name, tensor] : read_safetensors(path).tensors) {
    if (name == "transformer.ln_f.weight") name = "transformer.ln_f.gamma";
    if (name == "transformer.ln_f.bias") name = "transformer.ln_f.beta";
    renamed.emplace_back(name, tensor);
  }
  write_safetensors(path, renamed);
  import_model(folder.path("hub"), folder.path("old"));
  expect_same_bits(content("back").model, content("old").model);
}

TEST_F(HuggingFace, EditedKeysThatContradictTheOwnPartAreRefused) {
  there_and_back({kLlama});
  Config changed = config();
  ASSERT_TRUE(changed.has("heed"));  // for its dropout, which Llama has no word for
  changed.set("rms_norm_eps", 0.25);
  write_file_atomically(folder.path("hub/config.json"), changed.to_json(2));
  EXPECT_THAT(refusal(), HasSubstr("norm_eps"));
}

TEST_F(HuggingFace, AFolderThatHoldsSomethingStaysAsItIs) {
  there_and_back({});
  folder.write("hub/notes.txt", "mine");
  EXPECT_THAT(request_error([&] { export_model(folder.path("run"), folder.path("hub"), "hf"); }),
              HasSubstr("exists already"));
  EXPECT_EQ(read_file(folder.path("hub/notes.txt")), "mine");
}

TEST(HuggingFaceTables, EachFamilyReadsWhatItWrites) {
  const std::map<std::string, std::string> models = {
      {"llama",
       "{type: gpt, vocab: 9, norm: rms_norm, position: rotary, mlp: swiglu, bias: false, "
       "hidden: 8, rope_scaling: {type: llama3, factor: 2.0}}"},
      {"mistral",
       "{type: gpt, vocab: 9, norm: rms_norm, position: rotary, mlp: swiglu, bias: "
       "false, hidden: 8, attention: {type: window, window: 3}}"},
      {"qwen2",
       "{type: gpt, vocab: 9, norm: rms_norm, position: rotary, mlp: swiglu, bias: false, "
       "qkv_bias: true, hidden: 8, layers: 3, attentions: [{layers: 1, attention: {type: "
       "softmax}}, {layers: 2, attention: {type: window, window: 5}}]}"},
      {"qwen3",
       "{type: gpt, vocab: 9, norm: rms_norm, position: rotary, mlp: swiglu, bias: false, "
       "qk_norm: true, hidden: 8, head_dim: 32}"},
      {"gpt2", "{type: gpt, vocab: 9, hidden: 8}"},
      {"bert", "{type: encoder, vocab: 9, hidden: 8, token_types: 2, mlm: true, pooler: false}"},
      {"roberta",
       "{type: encoder, vocab: 9, hidden: 8, token_types: 1, classes: 3, "
       "position_offset: 2}"},
      {"vit", "{type: vit, height: 8, width: 12, channels: 1, patch: 4, classes: 3, hidden: 8}"},
      {"deit", "{type: vit, height: 8, width: 8, patch: 4, classes: 2, hidden: 8, registers: 1}"},
  };
  for (const auto& [name, yaml] : models) {
    const Config model = parse_yaml(yaml, "test");
    const hf::Family* family = hf::find_family(name);
    ASSERT_NE(family, nullptr) << name;
    EXPECT_TRUE(hf::expresses(*family, model)) << name;
    const auto first =
        std::find_if(hf::families().begin(), hf::families().end(),
                     [&](const hf::Family& any) { return hf::expresses(any, model); });
    EXPECT_EQ(first->model_type, name);  // others may have such models too
  }
}

// What ViT's, DeiT's and LLaVA's files say of images.
TEST(HuggingFaceTables, ImagesAndPatchesHaveBounds) {
  const auto vit_with = [](const std::string& key, const Config& value) {
    Config config = parse_json(
        R"({"model_type": "vit", "num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2,
            "intermediate_size": 8, "image_size": 8, "patch_size": 4})",
        "config.json");
    config.set(key, parse_json(value.to_json(), "config.json"));
    const std::string vit = request_error([&] { hf::read_model(*hf::find_family("vit"), config); });
    config.set("model_type", "deit");
    EXPECT_EQ(request_error([&] { hf::read_model(*hf::find_family("deit"), config); }), vit);
    config.erase("model_type");
    const Config llava = Config::Map{{"model_type", "llava"},
                                     {"text_config", Config::Map{{"num_hidden_layers", 1}}},
                                     {"vision_config", config}};
    EXPECT_EQ(request_error([&] { hf::read_model(*hf::find_family("llava"), llava); }), vit);
    return vit;
  };
  EXPECT_EQ(vit_with("image_size", 12), "no error");
  EXPECT_EQ(vit_with("image_size", Config::List{8, 12}), "no error");
  for (const Config& size : {Config(int64_t{1} << 33), Config(0), Config(-8), Config(1e30),
                             Config(Config::List{8, int64_t{1} << 62})}) {
    EXPECT_THAT(vit_with("image_size", size),
                AllOf(HasSubstr("config.json:"), HasSubstr("'image_size' is "),
                      HasSubstr("it must be 1 to 65536")));
  }
  EXPECT_THAT(vit_with("patch_size", int64_t{1} << 40), HasSubstr("'patch_size' is 1099511627776"));
  EXPECT_THAT(vit_with("patch_size", 0), HasSubstr("'patch_size' is 0"));
  EXPECT_THAT(vit_with("patch_size", 3), HasSubstr("'image_size' is 8, which 'patch_size' 3"));
  EXPECT_THAT(vit_with("num_channels", int64_t{1} << 50), HasSubstr("'num_channels' is"));
  EXPECT_THAT(vit_with("num_hidden_layers", int64_t{1} << 62),
              HasSubstr("'num_hidden_layers' is 4611686018427387904; it must be 1 to 10000"));
}

TEST(HuggingFaceTables, PaddingMustLeavePositions) {
  const hf::Family& roberta = *hf::find_family("roberta");
  const auto with = [&](int64_t pad) {
    const Config config = Config::Map{{"model_type", "roberta"},  {"vocab_size", 9},
                                      {"num_hidden_layers", 1},   {"hidden_size", 8},
                                      {"num_attention_heads", 2}, {"intermediate_size", 8},
                                      {"pad_token_id", pad},      {"max_position_embeddings", 20}};
    return request_error([&] { hf::read_model(roberta, config); });
  };
  EXPECT_EQ(with(18), "no error");
  for (const int64_t pad : {int64_t{-1}, int64_t{19}, std::numeric_limits<int64_t>::max()}) {
    EXPECT_THAT(with(pad), HasSubstr("'pad_token_id' is")) << pad;
  }
}

TEST(HuggingFaceTables, RowsThatAreNotThosePartsKeepTheirName) {
  const hf::Family& llama = *hf::find_family("llama");
  const Config model = parse_yaml("{heads: 4, kv_heads: 2}", "test");
  const auto parts = [&](const Shape& shape) {
    return hf::placement_of({&llama, nullptr, false, model}, "blocks.0.attn.qkv.weight", shape)
        .parts;
  };
  EXPECT_EQ(parts({32, 16}).size(), 3u);
  ASSERT_EQ(parts({33, 16}).size(), 1u);
  EXPECT_EQ(parts({33, 16})[0].name, "blocks.0.attn.qkv.weight");
  EXPECT_EQ(parts({33, 16})[0].rows, 33);
}

TEST(HuggingFaceTables, TensorsGoBackToWhereTheyCameFrom) {
  const Tensor image = Tensor::from<float>({0, 1, 2, 3, 4, 5, 6, 7}, {1, 2, 2, 2});
  const Tensor matrix = Tensor::from<float>({0, 1, 2, 3, 4, 5}, {2, 3});
  const auto back = [](const Tensor& x, hf::Layout layout) {
    return hf::to_ours(hf::to_theirs(x, layout), layout).to_vector<float>();
  };
  EXPECT_EQ(back(image, hf::Layout::channels), image.to_vector<float>());
  EXPECT_EQ(back(matrix, hf::Layout::transposed), matrix.to_vector<float>());
  EXPECT_EQ(back(matrix, hf::Layout::row), matrix.to_vector<float>());
  EXPECT_THAT(hf::to_theirs(image, hf::Layout::channels).to_vector<float>(),
              ElementsAre(0, 2, 4, 6, 1, 3, 5, 7));
}

}  // namespace
}  // namespace heed::recipes
