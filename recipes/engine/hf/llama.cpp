// Decoders of Llama's shape (Touvron et al., arXiv 2302.13971): RMS norms, SwiGLU, rotary positions
// by halves of a head.
//   Llama (1 to 3.x)   frequencies scaled as in arXiv 2407.21783; biases by choice
//   Mistral            arXiv 2310.06825: a sliding window in every layer
//   Qwen2              arXiv 2407.10671: biases of q, k and v; windows in upper layers
//   Qwen3              arXiv 2505.09388: queries and keys normalised; windows in upper layers
#include "recipes/engine/hf/attention_layers.h"
#include "recipes/engine/hf/family.h"
#include "recipes/engine/hf/rope.h"

namespace heed::recipes::hf {
namespace {

std::vector<Key> keys_of_all(int64_t head_dim, int64_t context) {
  return {
      {"vocab_size", "vocab"},
      {"max_position_embeddings", "context", context},
      {"num_hidden_layers", "layers"},
      {"hidden_size", "dim"},
      {"num_attention_heads", "heads"},
      {"num_key_value_heads", "kv_heads", 0},
      {"head_dim", "head_dim", head_dim},
      {"intermediate_size", "hidden"},
      {"hidden_act", "mlp", "silu", {{"silu", "swiglu"}}},
      {"rms_norm_eps", "norm_eps", 1e-6},
      {"tie_word_embeddings", "tied", false},
      {"attention_dropout", "attention_dropout", 0.0},
      {"initializer_range", "init_std", 0.02},
  };
}

// attention_bias: in all four projections of attention; mlp_bias, where a family has it: in the
// feed-forward layer.
Rule biases(bool of_mlp) {
  const auto read = [of_mlp](const Config& config, Config& model) {
    const auto has = [&](const char* key) {
      const Config* value = given(config, key);
      return value != nullptr && value->as_bool();
    };
    const bool attention = has("attention_bias"), mlp = of_mlp && has("mlp_bias");
    if (mlp && !attention) {
      fail_request(config.at("mlp_bias").where(),
                   "'mlp_bias' without 'attention_bias' is not supported");
    }
    model.set("bias", mlp);
    model.set("qkv_bias", attention && !mlp);
    model.set("out_bias", attention && !mlp);
  };
  const auto write = [of_mlp](const Config& model, Config& config) {
    const bool all = model.at("bias").as_bool();
    config.set("attention_bias", all || model.at("out_bias").as_bool());
    if (of_mlp) config.set("mlp_bias", all);
  };
  std::vector<std::string> theirs = {"attention_bias"};
  if (of_mlp) theirs.emplace_back("mlp_bias");
  return {theirs, read, write};
}

Family llama() {
  Family f;
  f.model_type = "llama";
  f.model = "gpt";
  f.architectures = {{"LlamaForCausalLM"}};
  f.options = Config::Map{{"norm", "rms_norm"}, {"position", "rotary"}};
  f.keys = keys_of_all(0, 2048);
  f.rules = {rope_rule(), biases(/*of_mlp=*/true)};
  f.keys.push_back({"rope_interleaved", "", false, {{false, Config()}}});
  f.carried = {"is_llama_config", "pretraining_tp", "transformers.js_config"};
  f.prefix = "model.";
  f.block = "layers.";
  f.tensors = {
      {"embed", {"model.embed_tokens"}},
      {"blocks.{}.norm1", {"model.layers.{}.input_layernorm"}},
      {"blocks.{}.attn.qkv",
       {"model.layers.{}.self_attn.q_proj", "model.layers.{}.self_attn.k_proj",
        "model.layers.{}.self_attn.v_proj"},
       Layout::same,
       /*heads=*/true},
      {"blocks.{}.attn.q_norm", {"model.layers.{}.self_attn.q_norm"}},
      {"blocks.{}.attn.k_norm", {"model.layers.{}.self_attn.k_norm"}},
      {"blocks.{}.attn.out", {"model.layers.{}.self_attn.o_proj"}},
      {"blocks.{}.norm2", {"model.layers.{}.post_attention_layernorm"}},
      {"blocks.{}.mlp.gate_up", {"model.layers.{}.mlp.gate_proj", "model.layers.{}.mlp.up_proj"}},
      {"blocks.{}.mlp.down", {"model.layers.{}.mlp.down_proj"}},
      {"norm", {"model.norm"}},
      {"head", {"lm_head"}},
  };
  f.derived = {".rotary_emb.inv_freq"};
  f.tied = {{"lm_head.weight", "model.embed_tokens.weight"}};
  return f;
}

Family mistral() {
  Family f = llama();
  f.model_type = "mistral";
  f.architectures = {{"MistralForCausalLM"}};
  f.options.set("bias", false);
  f.keys = keys_of_all(0, 131072);
  f.rules = {rope_rule(), window_of_all_layers(4096)};
  f.carried = {};
  return f;
}

Family qwen2() {
  Family f = mistral();
  f.model_type = "qwen2";
  f.architectures = {{"Qwen2ForCausalLM"}};
  f.options.set("qkv_bias", true);
  f.keys = keys_of_all(0, 32768);
  f.keys.push_back({"use_mrope", "", false, {{false, Config()}}});
  f.rules = {rope_rule(), windows_of_upper_layers()};
  return f;
}

Family qwen3() {
  Family f = llama();
  f.model_type = "qwen3";
  f.architectures = {{"Qwen3ForCausalLM"}};
  f.options.set("qk_norm", true);
  f.keys = keys_of_all(128, 32768);
  f.rules = {rope_rule(), biases(/*of_mlp=*/false), windows_of_upper_layers()};
  f.carried = {};
  return f;
}

}  // namespace

std::vector<Family> llama_families() { return {llama(), mistral(), qwen2(), qwen3()}; }

}  // namespace heed::recipes::hf
