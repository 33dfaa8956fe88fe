// Vision transformers (Dosovitskiy et al., arXiv 2010.11929), and DeiT's (Touvron et al., arXiv
// 2012.12877) with a distillation token.
#include "recipes/engine/hf/activations.h"
#include "recipes/engine/hf/family.h"
#include "recipes/engine/hf/limits.h"

namespace heed::recipes::hf {
namespace {

void check_tiles(const Config& extent, const Config& patch) {
  if (!extent.is_integer() || !patch.is_integer() || patch.as_integer() < 1) return;
  if (extent.as_integer() % patch.as_integer() == 0) return;
  fail_request(extent.where(),
               fmt::format("'image_size' is {}, which 'patch_size' {} does not tile",
                           extent.as_integer(), patch.as_integer()));
}

}  // namespace

Rule image_size_rule() {
  return {
      {"image_size"},
      [](const Config& config, Config& model) {
        const Config* size = given(config, "image_size");
        const Config side = size == nullptr ? Config(224) : *size;
        const bool both = side.is_list() && side.as_list().size() == 2;
        for (size_t i : {0, 1}) {
          const char* option = i == 0 ? "height" : "width";
          const Config& extent = both ? side.as_list()[i] : side;
          check_limit(extent, "image_size", option);
          check_tiles(extent, model.at("patch"));
          model.set(option, extent);
        }
      },
      [](const Config& model, Config& config) {
        const Config &height = model.at("height"), &width = model.at("width");
        config.set("image_size", height == width ? height : Config(Config::List{height, width}));
      }};
}

namespace {

Family vit() {
  Family f;
  f.model_type = "vit";
  f.model = "vit";
  f.architectures = {{"ViTForImageClassification", Config::map(), true}};
  f.options = Config::Map{{"norm", "layer_norm"},
                          {"position", "learned"},
                          {"stem", "patch"},
                          {"pool", "cls"},
                          {"registers", 0}};
  f.keys = {
      {"patch_size", "patch", 16},
      {"num_channels", "channels", 3},
      {"num_hidden_layers", "layers"},
      {"hidden_size", "dim"},
      {"num_attention_heads", "heads"},
      {"intermediate_size", "hidden"},
      {"hidden_act", "mlp", "gelu", activations()},
      {"layer_norm_eps", "norm_eps", 1e-12},
      {"qkv_bias", "qkv_bias", true},
      {"hidden_dropout_prob", "dropout", 0.0},
      {"attention_probs_dropout_prob", "attention_dropout", 0.0},
  };
  f.rules = {image_size_rule()};
  f.carried = {"encoder_stride", "initializer_range", "pooler_act", "pooler_output_size"};
  f.prefix = "vit.";
  f.block = "layer.";
  f.tensors = {
      {"cls", {"vit.embeddings.cls_token"}},
      {"position.weight", {"vit.embeddings.position_embeddings"}, Layout::row},
      {"patch_embed.conv", {"vit.embeddings.patch_embeddings.projection"}, Layout::channels},
      {"blocks.{}.norm1", {"vit.encoder.layer.{}.layernorm_before"}},
      {"blocks.{}.attn.qkv",
       {"vit.encoder.layer.{}.attention.attention.query",
        "vit.encoder.layer.{}.attention.attention.key",
        "vit.encoder.layer.{}.attention.attention.value"},
       Layout::same,
       /*heads=*/true},
      {"blocks.{}.attn.out", {"vit.encoder.layer.{}.attention.output.dense"}},
      {"blocks.{}.norm2", {"vit.encoder.layer.{}.layernorm_after"}},
      {"blocks.{}.mlp.up", {"vit.encoder.layer.{}.intermediate.dense"}},
      {"blocks.{}.mlp.down", {"vit.encoder.layer.{}.output.dense"}},
      {"norm", {"vit.layernorm"}},
      {"head", {"classifier"}},
  };
  return f;
}

// DeiT's second token, which its teacher taught, and which its classifier here does not read.
Family deit() {
  Family f = vit();
  f.model_type = "deit";
  f.architectures = {{"DeiTForImageClassification", Config::map(), true}};
  f.options.set("registers", 1);
  f.prefix = "deit.";
  for (TensorRow& row : f.tensors) {
    for (std::string& name : row.theirs) {
      if (name.starts_with("vit.")) name = fmt::format("deit.{}", name.substr(4));
    }
  }
  f.tensors.push_back({"registers", {"deit.embeddings.distillation_token"}});
  return f;
}

}  // namespace

std::vector<Family> vit_families() { return {vit(), deit()}; }

}  // namespace heed::recipes::hf
