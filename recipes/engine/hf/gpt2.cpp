// GPT-2 (Radford et al. 2019): weights of its "Conv1D" lie as [in, out], queries, keys and values
// in one.
#include "recipes/engine/hf/activations.h"
#include "recipes/engine/hf/family.h"
#include "recipes/engine/hf/limits.h"

namespace heed::recipes::hf {
namespace {

// Null stands for four times the stream's width.
Rule inner_width() {
  return {{"n_inner"},
          [](const Config& config, Config& model) {
            const Config* inner = given(config, "n_inner");
            if (inner != nullptr) check_limit(*inner, "n_inner", "hidden");
            const Config width = inner != nullptr ? *inner : 4 * model.at("dim").as_integer();
            model.set("hidden", width);
          },
          [](const Config& model, Config& config) { config.set("n_inner", model.at("hidden")); }};
}

}  // namespace

std::vector<Family> gpt2_families() {
  Family f;
  f.model_type = "gpt2";
  f.model = "gpt";
  f.architectures = {{"GPT2LMHeadModel"}};
  f.options = Config::Map{{"norm", "layer_norm"}, {"position", "learned"}, {"bias", true}};
  f.keys = {
      {"vocab_size", "vocab"},
      {"n_positions", "context", 1024},
      {"n_layer", "layers"},
      {"n_embd", "dim"},
      {"n_head", "heads"},
      {"activation_function", "mlp", "gelu_new", activations()},
      {"layer_norm_epsilon", "norm_eps", 1e-5},
      {"tie_word_embeddings", "tied", true},
      {"resid_pdrop", "residual_dropout", 0.1},
      {"embd_pdrop", "embedding_dropout", 0.1},
      {"attn_pdrop", "attention_dropout", 0.1},
      {"initializer_range", "init_std", 0.02},
      {"scale_attn_weights", "", true, {{true, Config()}}},
      {"scale_attn_by_inverse_layer_idx", "", false, {{false, Config()}}},
  };
  f.rules = {inner_width()};
  // The reordering is about the rounding of f16 alone; the summaries are of a head of its own.
  f.carried = {"n_ctx",
               "predict_special_tokens",
               "reorder_and_upcast_attn",
               "summary_activation",
               "summary_first_dropout",
               "summary_proj_to_labels",
               "summary_type",
               "summary_use_proj"};
  f.prefix = "transformer.";
  f.block = "h.";
  f.tensors = {
      {"embed", {"transformer.wte"}},
      {"position", {"transformer.wpe"}},
      {"blocks.{}.norm1", {"transformer.h.{}.ln_1"}},
      {"blocks.{}.attn.qkv", {"transformer.h.{}.attn.c_attn"}, Layout::transposed},
      {"blocks.{}.attn.out", {"transformer.h.{}.attn.c_proj"}, Layout::transposed},
      {"blocks.{}.norm2", {"transformer.h.{}.ln_2"}},
      {"blocks.{}.mlp.up", {"transformer.h.{}.mlp.c_fc"}, Layout::transposed},
      {"blocks.{}.mlp.down", {"transformer.h.{}.mlp.c_proj"}, Layout::transposed},
      {"norm", {"transformer.ln_f"}},
      {"head", {"lm_head"}},
  };
  f.derived = {".attn.bias", ".attn.masked_bias"};  // of the causal mask
  f.tied = {{"lm_head.weight", "transformer.wte.weight"}};
  return {f};
}

}  // namespace heed::recipes::hf
