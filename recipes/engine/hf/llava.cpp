// LLaVA (Liu et al., arXiv 2304.08485): a config.json of three parts, of which "text_config" is one
// of Llama's shape and "vision_config" CLIP's. Its tensors are those of the parts behind names of
// their own; transformers has changed these from version to version.
#include <algorithm>

#include "recipes/engine/hf/activations.h"
#include "recipes/engine/hf/config_map.h"
#include "recipes/engine/hf/family.h"

namespace heed::recipes::hf {
namespace {

constexpr const char* kText = "language_model.";
constexpr const char* kVision = "vision_tower.vision_model.";

Family clip_vision() {
  Family f;
  f.model_type = "clip_vision_model";
  f.model = "clip_vision";
  f.architectures = {{"CLIPVisionModel"}};
  f.options = Config::map();
  f.keys = {
      {"patch_size", "patch", 32},
      {"num_channels", "channels", 3},
      {"num_hidden_layers", "layers", 12},
      {"hidden_size", "dim", 768},
      {"num_attention_heads", "heads", 12},
      {"intermediate_size", "hidden", 3072},
      {"hidden_act", "mlp", "quick_gelu", {{"quick_gelu", "quick_gelu"}}},
      {"layer_norm_eps", "norm_eps", 1e-5},
      {"attention_dropout", "attention_dropout", 0.0},
  };
  for (const auto& word : activations()) f.keys[6].words.push_back(word);
  f.rules = {image_size_rule()};
  // Of CLIP's other half, and of the initial values.
  f.carried = {"dropout", "initializer_factor", "initializer_range", "projection_dim",
               "vocab_size"};
  return f;
}

// Llama's own numbers, which its files leave out where they are these.
Config with_llama_defaults(Config text) {
  const Config* type = text.find("model_type");
  if (type == nullptr) text.set("model_type", "llama");
  if (text.at("model_type") != Config("llama")) return text;
  const Config::Map standard = {{"vocab_size", 32000},
                                {"hidden_size", 4096},
                                {"intermediate_size", 11008},
                                {"num_hidden_layers", 32},
                                {"num_attention_heads", 32}};
  for (const auto& [key, value] : standard) {
    if (given(text, key) == nullptr) text.set(key, value);
  }
  return text;
}

void read_text(const Config& config, Config& model) {
  Config part = with_llama_defaults(config.at("text_config"));
  const Config* tied = given(config, "tie_word_embeddings");
  if (tied != nullptr && tied->as_bool()) part.set("tie_word_embeddings", true);
  const Family& family = family_of(part);
  if (family.model != "gpt") {
    fail_request(part.at("model_type").where(), "the decoder must be a language model");
  }
  Config text = read_model(family, part);
  text.erase("type");
  model.set("text", text);
}

void write_text(const Config& model, Config& config) {
  Config text = model.at("text");
  text.set("type", "gpt");
  for (const Family& family : families()) {
    if (family.model != "gpt" || !expresses(family, text)) continue;
    config.set("text_config", write_config(family, text));
    config.set("tie_word_embeddings", text.at("tied"));
    return;
  }
  config.set("text_config", Config::map());  // (No config of the family; reading it back shows it.)
}

Rule text_rule() { return {{"text_config", "tie_word_embeddings"}, read_text, write_text}; }

void read_vision(const Config& config, Config& model) {
  Config vision = read_model(clip_vision(), config.at("vision_config"));
  vision.erase("type");
  const Config* layer = given(config, "vision_feature_layer");
  if (layer != nullptr && !layer->is_integer()) {
    fail_request(layer->where(), "'vision_feature_layer' of several layers is not supported");
  }
  vision.set("layer", layer == nullptr ? Config(-2) : *layer);
  const Config* strategy = given(config, "vision_feature_select_strategy");
  const bool full = strategy != nullptr && *strategy == Config("full");
  if (strategy != nullptr && !full && *strategy != Config("default")) {
    fail_request(strategy->where(),
                 fmt::format("'vision_feature_select_strategy' is {}; known: default, full",
                             strategy->to_json()));
  }
  vision.set("cls", full);
  model.set("vision", vision);
}

void write_vision(const Config& model, Config& config) {
  Config vision = model.at("vision");
  config.set("vision_feature_layer", vision.at("layer"));
  config.set("vision_feature_select_strategy", vision.at("cls").as_bool() ? "full" : "default");
  vision.set("type", "clip_vision");
  Config part = write_config(clip_vision(), vision);
  part.erase("architectures");
  config.set("vision_config", part);
}

Rule vision_rule() {
  return {{"vision_config", "vision_feature_layer", "vision_feature_select_strategy"},
          read_vision,
          write_vision};
}

// Only for whoever prepares the prompt.
Rule image_length() {
  return {{"image_seq_length"},
          [](const Config&, Config&) {},
          [](const Config& model, Config& config) {
            const Config& vision = model.at("vision");
            const int64_t patch = vision.at("patch").as_integer();
            const int64_t tiles = (vision.at("height").as_integer() / patch) *
                                  (vision.at("width").as_integer() / patch);
            config.set("image_seq_length", tiles + (vision.at("cls").as_bool() ? 1 : 0));
          }};
}

std::vector<TensorRow> rows() {
  std::vector<TensorRow> all = {
      {"projector.up", {"multi_modal_projector.linear_1"}},
      {"projector.down", {"multi_modal_projector.linear_2"}},
      {"vision.cls", {"embeddings.class_embedding"}},
      {"vision.position", {"embeddings.position_embedding"}},
      {"vision.patch_embed.conv", {"embeddings.patch_embedding"}, Layout::channels},
      {"vision.norm_in", {"pre_layrnorm"}},
      {"vision.blocks.{}.norm1", {"encoder.layers.{}.layer_norm1"}},
      {"vision.blocks.{}.attn.qkv",
       {"encoder.layers.{}.self_attn.q_proj", "encoder.layers.{}.self_attn.k_proj",
        "encoder.layers.{}.self_attn.v_proj"},
       Layout::same,
       /*heads=*/true},
      {"vision.blocks.{}.attn.out", {"encoder.layers.{}.self_attn.out_proj"}},
      {"vision.blocks.{}.norm2", {"encoder.layers.{}.layer_norm2"}},
      {"vision.blocks.{}.mlp.up", {"encoder.layers.{}.mlp.fc1"}},
      {"vision.blocks.{}.mlp.down", {"encoder.layers.{}.mlp.fc2"}},
      {"vision.norm", {"post_layernorm"}},
  };
  for (TensorRow& row : all) {
    if (!row.ours.starts_with("vision.")) continue;
    for (std::string& name : row.theirs) name = kVision + name;
  }
  const std::vector<Family> decoders = llama_families();
  for (TensorRow row : decoders.front().tensors) {
    row.ours = fmt::format("text.{}", row.ours);
    for (std::string& name : row.theirs) name = kText + name;
    all.push_back(row);
  }
  return all;
}

}  // namespace

std::vector<Family> llava_families() {
  Family f;
  f.model_type = "llava";
  f.model = "llava";
  f.architectures = {{"LlavaForConditionalGeneration"}};
  f.options = Config::map();
  f.keys = {{"image_token_index", "image_token", 32000},
            {"projector_hidden_act", "projector", "gelu", activations()},
            {"multimodal_projector_bias", "projector_bias", true}};
  f.rules = {text_rule(), vision_rule(), image_length()};
  f.carried = {"ignore_index", "image_token_id", "vocab_size"};
  f.tensors = rows();
  f.block = "layers.";
  f.derived = {".rotary_emb.inv_freq", "embeddings.position_ids"};
  f.tied = {{"language_model.lm_head.weight", "language_model.model.embed_tokens.weight"}};
  // As version 5 writes them, and as 4.52 named the modules.
  f.renamed = {{kVision, "vision_tower."},
               {kVision, "model.vision_tower.vision_model."},
               {kVision, "model.vision_tower."},
               {"language_model.lm_head.", "lm_head."},
               {"language_model.model.", "model.language_model."},
               {"multi_modal_projector.", "model.multi_modal_projector."}};
  return {f};
}

}  // namespace heed::recipes::hf
