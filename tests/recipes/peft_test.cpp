// Low-rank updates as PEFT adapters, without another package. tests/interop/peft_check.py compares
// with peft.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/files.h"
#include "core/safetensors.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "recipes/engine/adapt.h"
#include "recipes/engine/export.h"
#include "recipes/engine/hf/import.h"
#include "recipes/engine/hf/peft_config.h"
#include "tests/core/raises.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kLlama =
    "model={type: gpt, layers: 2, dim: 16, heads: 4, kv_heads: 2, context: 8, mlp: swiglu, norm: "
    "rms_norm, position: rotary, bias: false, tied: false}";

class Peft : public testing::Test {
 protected:
  Peft() { write_tiny(folder); }

  /// A base on the hub, and a run that adapted it.
  void train(const std::string& lora) {
    train_tiny(folder, "base", {kLlama, "train.steps=4", "train.ema=0"});
    export_model(folder.path("base"), folder.path("hub"), "hf");
    train_tiny(folder, "run",
               {kLlama, "train.steps=4", "train.ema=0", "lora=" + lora,
                "train.from=" + folder.path("base")});
    export_model(folder.path("run"), folder.path("adapter"), "peft");
  }
  void import(const std::string& run, bool merged = false) {
    import_model(folder.path("hub"), folder.path(run), {}, {folder.path("adapter"), merged});
  }
  CheckpointContent content(const std::string& run) const {
    return read_checkpoint(find_checkpoint(folder.path(run)).path);
  }
  Config lora(const std::string& run) const {
    return read_yaml_file(find_checkpoint(folder.path(run)).path + "/recipe.yaml").at("lora");
  }
  SafetensorsFile adapter() const {
    return read_safetensors(folder.path("adapter/adapter_model.safetensors"));
  }
  Config adapter_config() const {
    return read_json_file(folder.path("adapter/adapter_config.json"));
  }
  void write_adapter(const NamedTensors& tensors) const {
    write_safetensors(folder.path("adapter/adapter_model.safetensors"), tensors);
  }
  void set(const std::string& key, const Config& value) const {
    Config config = adapter_config();
    config.set(key, value);
    write_file_atomically(folder.path("adapter/adapter_config.json"), config.to_json());
  }
  std::string refusal() {
    const std::string message = request_error([&] { import("new"); });
    EXPECT_FALSE(fs::exists(folder.path("new")));
    return message;
  }

  Scratch folder;
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

TEST_F(Peft, RefusesWhatItDoesNotDo) {
  train("{rank: 2, targets: ['blocks.*']}");
  const auto with = [&](const std::string& key, const Config& value) {
    const Config before = adapter_config();
    set(key, value);
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
