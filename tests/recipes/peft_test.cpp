// Low-rank updates as PEFT adapters, without another package. tests/interop/peft_check.py compares
// with peft.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/views.h"
#include "kernels/copy/copy.h"
#include "recipes/engine/adapt.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/hf/peft_config.h"
#include "tests/recipes/hub_runs.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class Peft : public HubRuns {
 protected:
  /// A base on the hub, and a run that adapted it.
  void train(const std::string& lora, const char* model = kLlama) {
    HubRuns::train("base", {model});
    export_model(folder.path("base"), folder.path("hub"), "hf");
    HubRuns::train("run", {model, "lora=" + lora, "train.from=" + folder.path("base")});
    export_model(folder.path("run"), folder.path("adapter"), "peft");
  }
  void import(const std::string& run, bool merged = false) {
    import_model(folder.path("hub"), folder.path(run), {}, {folder.path("adapter"), merged});
  }
  Config lora(const std::string& run) const { return recipe(run).at("lora"); }
  SafetensorsFile adapter() const { return read_safetensors(folder.path(kWeights)); }
  Config adapter_config() const { return read_json_file(folder.path(kConfig)); }
  void write_adapter(const NamedTensors& tensors) const {
    write_safetensors(folder.path(kWeights), tensors);
  }
  std::string refusal() const { return HubRuns::refusal("hub", "adapter"); }

  static constexpr const char* kWeights = "adapter/adapter_model.safetensors";
  static constexpr const char* kConfig = "adapter/adapter_config.json";
};

constexpr const char* kQProj = "base_model.model.model.layers.0.self_attn.q_proj";

TEST_F(Peft, UpdatesComeBackAsTheyWere) {
  train("{rank: 2, alpha: 6, dropout: 0.1, targets: ['blocks.*'], also: [norm]}");
  import("back");
  expect_same_bits(content("run").model, content("back").model);
  EXPECT_EQ(lora("back").at("rank"), Config(2));
  EXPECT_EQ(lora("back").at("alpha"), Config(6));
  EXPECT_EQ(lora("back").at("dropout"), Config(0.1));
  EXPECT_EQ(lora("back").at("also"), Config(Config::List{"norm"}));
  EXPECT_EQ(lora("back").at("groups"), Config::list());
  const Config config = adapter_config();
  EXPECT_EQ(config.at("modules_to_save"), Config(Config::List{"model.norm"}));
  EXPECT_EQ(config.at("target_modules").as_list().size(), 7u);
  EXPECT_EQ(config.at("target_modules").as_list()[0], Config("down_proj"));
}

TEST_F(Peft, AFusedMatrixHasOneUpdateForEachOfTheirs) {
  train("{rank: 3, targets: ['blocks.1.attn.qkv']}");
  const SafetensorsFile file = adapter();
  EXPECT_EQ(file.tensors.size(), 6u);
  const std::string layer = "base_model.model.model.layers.1.self_attn.";
  const Tensor a = file.find(layer + "q_proj.lora_A.weight");
  EXPECT_EQ(a.shape(), (Shape{3, 16}));
  EXPECT_EQ(file.find(layer + "q_proj.lora_B.weight").shape(), (Shape{16, 3}));
  EXPECT_EQ(file.find(layer + "v_proj.lora_B.weight").shape(), (Shape{8, 3}));
  EXPECT_TRUE(same_bits(a, file.find(layer + "v_proj.lora_A.weight")));
  EXPECT_EQ(adapter_config().at("target_modules").as_list().at(0), Config("1.self_attn.k_proj"));
}

// An adapter of queries and values alone, each with its own A, is one update of the fused matrix.
TEST_F(Peft, PartsWithTheirOwnMatricesBecomeBlocks) {
  train("{rank: 2, alpha: 4, targets: ['blocks.*.attn.qkv', 'blocks.*.attn.out']}");
  NamedTensors changed;
  for (const auto& [name, tensor] : adapter().tensors) {
    if (name.find("k_proj") != std::string::npos) continue;
    Tensor own = kernels::contiguous_as(tensor, DType::f32);
    if (name.find("v_proj.lora_A") != std::string::npos) {
      own = Tensor::empty(tensor.shape());
      kernels::fill(own, 0.25);
    }
    changed.emplace_back(name, own);
  }
  write_adapter(changed);
  import("kept");
  const CheckpointContent kept = content("kept");
  const std::map<std::string, Tensor> weights(kept.model.begin(), kept.model.end());
  const Tensor down = weights.at("blocks.0.attn.qkv.lora.down.weight");
  const Tensor up = weights.at("blocks.0.attn.qkv.lora.up.weight");
  EXPECT_EQ(down.shape(), (Shape{4, 16}));
  EXPECT_EQ(up.shape(), (Shape{32, 4}));
  EXPECT_THAT(views::slice(down, 0, 2, 4).to_vector<float>(), testing::Each(0.25f));
  EXPECT_THAT(views::slice(up, 0, 16, 24).to_vector<float>(), testing::Each(0.0f));  // keys
  EXPECT_THAT(views::slice(views::slice(up, 0, 0, 16), 1, 2, 4).to_vector<float>(),
              testing::Each(0.0f));
  const Config options = lora("kept");
  EXPECT_EQ(options.at("rank"), Config(2));
  EXPECT_EQ(options.at("alpha"), Config(4));
  EXPECT_EQ(options.at("targets"), Config(Config::List{"blocks.*.attn.out"}));
  const Config& group = options.at("groups").as_list().at(0);
  EXPECT_EQ(group.at("targets"), Config(Config::List{"blocks.*.attn.qkv"}));
  EXPECT_EQ(group.at("rank"), Config(4));
  EXPECT_EQ(group.at("alpha"), Config(8));
  // ... and comes apart again.
  fs::remove_all(folder.path("adapter"));
  export_model(folder.path("kept"), folder.path("adapter"), "peft");
  NamedTensors again = adapter().tensors;
  std::sort(again.begin(), again.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::sort(changed.begin(), changed.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  expect_same_bits(changed, again);
}

TEST_F(Peft, MergingIsWhatTheExportOfARunDoes) {
  train("{rank: 2, targets: ['*.attn.*', '*.mlp.*']}");
  import("merged", true);
  export_model(folder.path("run"), folder.path("whole"), "hf");
  export_model(folder.path("merged"), folder.path("merged-hub"), "hf");
  expect_same_bits(read_safetensors(folder.path("whole/model.safetensors")).tensors,
                   read_safetensors(folder.path("merged-hub/model.safetensors")).tensors);
  for (const auto& [name, tensor] : content("merged").model) EXPECT_FALSE(is_update(name)) << name;
  EXPECT_EQ(lora("merged").at("rank"), Config(0));
}

TEST_F(Peft, GroupsHaveRanksOfTheirOwn) {
  train(
      "{rank: 4, alpha: 8, targets: ['blocks.*.attn.*'], groups: [{targets: ['blocks.1.attn.out'], "
      "rank: 2, alpha: 8}]}");
  const Config config = adapter_config();
  EXPECT_EQ(config.at("r"), Config(4));
  EXPECT_EQ(config.at("rank_pattern"), Config(Config::Map{{"model.layers.1.self_attn.o_proj", 2}}));
  EXPECT_EQ(config.at("alpha_pattern"), Config::map());
  import("back");
  expect_same_bits(content("run").model, content("back").model);
}

// Adapters are saved in the dtype that they were trained in, whatever the base's.
TEST_F(Peft, EveryFloatingDtypeIsRead) {
  train("{rank: 2, alpha: 4, targets: ['blocks.*.attn.*']}");
  const NamedTensors plain = adapter().tensors;
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16}) {
    NamedTensors stored;
    for (const auto& [name, tensor] : plain) {
      stored.emplace_back(name, kernels::contiguous_as(tensor, dtype));
    }
    write_adapter(stored);
    const std::string kept = fmt::format("kept-{}", name_of(dtype));
    import(kept);
    const auto found = weights(kept);
    const Tensor up = found.at("blocks.0.attn.out.lora.up.weight");
    EXPECT_EQ(up.dtype(), dtype);
    EXPECT_TRUE(std::isfinite(*find_metric(evaluate(folder.path(kept)).metrics, "loss")));
    // Out again, and merged: W + alpha / rank up down of what was stored, in W's dtype.
    export_model(folder.path(kept), folder.path(kept + "-again"), "peft");
    expect_same_bits(stored, tensors_in(kept + "-again/adapter_model.safetensors"));
    import("merged-" + kept, true);
    const Tensor down = found.at("blocks.0.attn.out.lora.down.weight");
    const std::vector<double> base =
        weights("base").at("blocks.0.attn.out.weight").to_vector<double>();
    const std::vector<double> b = up.to_vector<double>(), a = down.to_vector<double>();
    const Tensor merged = weights("merged-" + kept).at("blocks.0.attn.out.weight");
    ASSERT_EQ(merged.dtype(), DType::f32);
    const std::vector<double> sums = merged.to_vector<double>();
    for (size_t i = 0; i < sums.size(); ++i) {
      const size_t row = i / 16, column = i % 16;
      const double product = b[2 * row] * a[column] + b[2 * row + 1] * a[16 + column];
      const double exact = base[i] + 2.0 * product;
      // One rounding to f32 of what was computed in f64; in f32, that of each of four operations.
      const double roundings = dtype == DType::f64 ? 1.0 : 4.0;
      const double size = std::abs(base[i]) + 2.0 * std::abs(b[2 * row] * a[column]) +
                          2.0 * std::abs(b[2 * row + 1] * a[16 + column]);
      EXPECT_NEAR(sums[i], exact, roundings * 0x1p-24 * size) << name_of(dtype);
    }
  }
}

// Small numbers of f64 are not lost where parts become one, nor scales rounded to a narrow dtype.
TEST_F(Peft, PartsOfOneUpdateHaveTheWidestOfTheirDtypes) {
  train("{rank: 2, alpha: 4, targets: ['blocks.*.attn.qkv']}");
  const NamedTensors plain = adapter().tensors;
  const auto stored = [&](DType queries, DType values, double tiny) {
    NamedTensors changed;
    for (const auto& [name, tensor] : plain) {
      if (name.find("k_proj") != std::string::npos) continue;
      const bool of_q = name.find("q_proj") != std::string::npos;
      Tensor own = kernels::contiguous_as(tensor, of_q ? queries : values);
      if (of_q && name.ends_with("lora_B.weight")) {
        own = Tensor::full(tensor.shape(), tiny, queries);
      }
      changed.emplace_back(name, own);
    }
    write_adapter(changed);
  };
  const auto up_in = [&](const std::string& run) {
    import(run);
    return weights(run).at("blocks.0.attn.qkv.lora.up.weight");
  };
  stored(DType::f64, DType::f32, 1e-60);
  const Tensor mixed = up_in("mixed");
  ASSERT_EQ(mixed.dtype(), DType::f64);
  EXPECT_EQ(views::slice(mixed, 0, 0, 1).to_vector<double>()[0], 1e-60);
  export_model(folder.path("mixed"), folder.path("mixed-again"), "peft");
  const NamedTensors again = tensors_in("mixed-again/adapter_model.safetensors");
  EXPECT_EQ(again.size(), 8u);  // two layers, queries and values, A and B
  stored(DType::bf16, DType::bf16, 0.5);
  EXPECT_EQ(up_in("narrow").dtype(), DType::bf16);
  set(kConfig, "alpha_pattern", Config(Config::Map{{"v_proj", 5}}));
  const Tensor scaled = up_in("scaled");  // by 5 / 4
  ASSERT_EQ(scaled.dtype(), DType::f32);
  const std::vector<double> values = views::slice(scaled, 0, 24, 32).to_vector<double>();
  const std::vector<double> before =
      views::slice(weights("narrow").at("blocks.0.attn.qkv.lora.up.weight"), 0, 24, 32)
          .to_vector<double>();
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], 1.25 * before[i]);
}

TEST_F(Peft, RefusesWhatItDoesNotDo) {
  train("{rank: 2, targets: ['blocks.*']}");
  const auto with = [&](const std::string& key, const Config& value) {
    const Config before = adapter_config();
    set(kConfig, key, value);
    const std::string message = refusal();
    write_file_atomically(folder.path("adapter/adapter_config.json"), before.to_json());
    return message;
  };
  EXPECT_THAT(with("use_dora", true), HasSubstr("'use_dora' of an adapter is not supported"));
  EXPECT_THAT(with("bias", "all"), AllOf(HasSubstr("'bias'"), HasSubstr("known: \"none\"")));
  EXPECT_THAT(with("peft_type", "IA3"), HasSubstr("'peft_type'"));
  EXPECT_THAT(with("init_lora_weights", "pissa"), HasSubstr("'init_lora_weights'"));
  EXPECT_THAT(with("lora_alpha", 0), HasSubstr("must be above 0"));
  EXPECT_THAT(with("r", 3), HasSubstr("expected [3, 16]"));
  EXPECT_THAT(with("rank_pattern", Config(Config::Map{{".*proj", 2}})), HasSubstr("'.*proj'"));
  EXPECT_THAT(with("unheard_of", 1), HasSubstr("'unheard_of'"));
  NamedTensors tensors = adapter().tensors;
  const Tensor some = tensors.front().second;
  tensors.emplace_back("base_model.model.model.embed_tokens.lora_embedding_A", some);
  tensors.emplace_back(std::string(kQProj) + ".base_layer.bias", some);
  write_adapter(tensors);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("updates an embedding"), HasSubstr("a trained bias")));
  fs::remove(folder.path("adapter/adapter_model.safetensors"));
  EXPECT_THAT(refusal(), HasSubstr("holds no adapter_model.safetensors"));
  EXPECT_THAT(
      request_error([&] { export_model(folder.path("base"), folder.path("none"), "peft"); }),
      HasSubstr("`lora.rank` is 0"));
}

// --- names inside LLaVA ---

// A module of the language model inside LLaVA, and of the tower, as versions of transformers name
// them: to 4.51, to 4.57, from 5 on.
std::string in_version(int version, std::string name) {
  const std::vector<std::vector<std::string>> all = {
      {"model.language_model.", "language_model.model.", "model.language_model."},
      {"lm_head.", "language_model.lm_head.", "lm_head."},
      {"model.vision_tower.", "vision_tower.vision_model.", "model.vision_tower.vision_model."},
      {"model.multi_modal_projector.", "multi_modal_projector.", "model.multi_modal_projector."}};
  for (const auto& names : all) {
    const std::string prefix = "base_model.model." + names[0];
    if (version == 5 || !name.starts_with(prefix)) continue;
    return "base_model.model." + names[version == 4 ? 1 : 2] + name.substr(prefix.size());
  }
  return name;
}

constexpr const char* kLlavaUpdates =
    "{rank: 2, alpha: 6, targets: ['text.blocks.*.attn.*', 'vision.blocks.1.mlp.up', "
    "'projector.up', 'text.head'], groups: [{targets: ['text.blocks.*.mlp.down'], rank: 3, "
    "alpha: 6}], also: ['text.norm']}";

TEST_F(Peft, LlavasPartsComeBackUnderTheirNames) {
  train(kLlavaUpdates, kLlava);
  const Config config = adapter_config();
  // The tower has projections of the same names: the ends that are listed must tell them apart.
  for (const Config& target : config.at("target_modules").as_list()) {
    const std::string& end = target.as_string();
    EXPECT_TRUE(end.starts_with("language_model.layers.") || end == "o_proj" ||
                end == "1.mlp.fc1" || end == "linear_1" || end == "lm_head" || end == "down_proj")
        << end;
  }
  EXPECT_EQ(config.at("rank_pattern").keys(),
            (std::vector<std::string>{"model.language_model.layers.0.mlp.down_proj",
                                      "model.language_model.layers.1.mlp.down_proj"}));
  EXPECT_EQ(config.at("modules_to_save"), Config(Config::List{"model.language_model.norm"}));
  import("back");
  expect_same_bits(content("run").model, content("back").model);
  const Config options = lora("back");
  EXPECT_THAT(options.at("targets").to_json(),
              testing::AnyOf(HasSubstr("text.blocks.*.attn.qkv"), HasSubstr("text.blocks.*.mlp")));
  EXPECT_EQ(options.at("targets").as_list().size(), 5u);  // qkv, out, up, projector, head
  EXPECT_EQ(options.at("groups").as_list().at(0).at("targets"),
            Config(Config::List{"text.blocks.*.mlp.down"}));
  EXPECT_EQ(options.at("also"), Config(Config::List{"text.norm"}));
}

TEST_F(Peft, LlavasNamesOfEveryVersionAreRead) {
  train(kLlavaUpdates, kLlava);
  const NamedTensors newest = adapter().tensors;
  const Config config = adapter_config();
  import("back");
  for (const int version : {4, 45}) {
    NamedTensors older;
    for (const auto& [name, tensor] : newest) {
      older.emplace_back(in_version(version, name), kernels::contiguous(tensor));
    }
    EXPECT_NE(older.front().first, version == 4 ? newest.front().first : "");
    write_adapter(older);
    // Patterns name modules as that version does.
    Config ranks = Config::map();
    for (const auto& [pattern, rank] : config.at("rank_pattern").as_map()) {
      const std::string prefix = "base_model.model.";
      ranks.set(in_version(version, prefix + pattern).substr(prefix.size()), rank);
    }
    set(kConfig, "rank_pattern", ranks);
    set(kConfig, "modules_to_save",
        Config(Config::List{version == 4 ? "language_model.model.norm" : "language_model.norm"}));
    const std::string run = fmt::format("version-{}", version);
    import(run);
    expect_same_bits(content("back").model, content(run).model);
    EXPECT_EQ(lora(run), lora("back"));
  }
}

TEST_F(Peft, AWholeTensorAmongFrozenOnesIsMergedOrRefused) {
  train("{rank: 2, targets: ['text.blocks.*.attn.out']}", kLlava);
  NamedTensors tensors = adapter().tensors;
  const Tensor cls = Tensor::full({8}, 0.5);
  tensors.emplace_back("base_model.model.model.vision_tower.embeddings.class_embedding", cls);
  write_adapter(tensors);
  set(kConfig, "modules_to_save", Config(Config::List{"embeddings"}));
  EXPECT_THAT(refusal(), AllOf(HasSubstr("trained 'vision.cls' whole"), HasSubstr("--merge")));
  import("merged", true);
  EXPECT_TRUE(same_bits(weights("merged").at("vision.cls"), cls));
}

TEST(PeftConfig, PatternsAreEndsOfNames) {
  const hf::PeftConfig config = hf::read_peft_config(
      parse_json(R"({"r": 8, "lora_alpha": 16, "use_rslora": true, "rank_pattern": {"q_proj": 4},
                     "alpha_pattern": {"layers.1.q_proj": 3}})",
                 "test"));
  EXPECT_EQ(config.rank_of("a.q_proj"), 4);
  EXPECT_EQ(config.rank_of("a.seq_proj"), 8);
  EXPECT_EQ(config.own_alpha_of("layers.0.q_proj"), 32.0);  // 16 / sqrt(4) = 32 / 4
  EXPECT_EQ(config.own_alpha_of("layers.1.q_proj"), 6.0);
}

}  // namespace
}  // namespace heed::recipes
