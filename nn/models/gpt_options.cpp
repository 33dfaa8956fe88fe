// The options of `gpt`, and the published models as presets.
#include <map>

#include "nn/models/gpt.h"
#include "nn/models/presets.h"

namespace heed::nn {
namespace {

// GPT-2 (Radford et al. 2019): biases, learned positions, tied embeddings, gelu by tanh.
GptOptions gpt2(int64_t layers, int64_t dim, int64_t heads) {
  GptOptions o;
  o.vocab = 50257;
  o.context = 1024;
  o.layers = layers;
  o.dim = dim;
  o.heads = heads;
  o.mlp = "gelu_tanh";
  return o;
}

// Llama: no biases, rotary positions, RMS norm, SwiGLU.
GptOptions llama(int64_t vocab, int64_t context, int64_t layers, int64_t dim, int64_t heads,
                 int64_t kv_heads, int64_t hidden, bool tied) {
  GptOptions o;
  o.vocab = vocab;
  o.context = context;
  o.layers = layers;
  o.dim = dim;
  o.heads = heads;
  o.kv_heads = kv_heads;
  o.mlp = "swiglu";
  o.hidden = hidden;
  o.norm = "rms_norm";
  o.position = "rotary";
  o.bias = false;
  o.tied = tied;
  return o;
}

// Llama's successors: longer contexts, larger bases.
GptOptions llama3_8b() {
  GptOptions o = llama(128256, 8192, 32, 4096, 32, 8, 14336, false);
  o.rope_base = 5e5;
  return o;
}

GptOptions qwen2_7b() {
  GptOptions o = llama(152064, 32768, 28, 3584, 28, 4, 18944, false);
  o.rope_base = 1e6;
  o.norm_eps = 1e-6;
  o.qkv_bias = true;
  return o;
}

// Pythia (arXiv 2304.01373): GPT-NeoX's parallel branches, a quarter of each head rotated.
GptOptions pythia(int64_t layers, int64_t dim, int64_t heads) {
  GptOptions o;
  o.vocab = 50304;
  o.context = 2048;
  o.layers = layers;
  o.dim = dim;
  o.heads = heads;
  o.position = "rotary";
  o.rotary_dim = dim / heads / 4;
  o.parallel_residual = true;
  o.tied = false;
  return o;
}

GptOptions qwen3_06b() {
  GptOptions o = llama(151936, 40960, 28, 1024, 16, 8, 3072, true);
  o.head_dim = 128;
  o.rope_base = 1e6;
  o.norm_eps = 1e-6;
  o.qk_norm = true;
  return o;
}

// A window of 4096 in every layer.
GptOptions mistral_7b() {
  GptOptions o = llama(32000, 8192, 32, 4096, 32, 8, 14336, false);
  o.attention = Config(Config::Map{{"type", "window"}, {"window", 4096}});
  return o;
}

const std::map<std::string, GptOptions>& presets() {
  static const std::map<std::string, GptOptions> all = {
      {"gpt2", gpt2(12, 768, 12)},
      {"gpt2-medium", gpt2(24, 1024, 16)},
      {"gpt2-large", gpt2(36, 1280, 20)},
      {"gpt2-xl", gpt2(48, 1600, 25)},
      {"llama-tiny", llama(32000, 256, 6, 288, 6, 6, 768, true)},      // stories15M of llama2.c
      {"smollm-135m", llama(49152, 2048, 30, 576, 9, 3, 1536, true)},  // arXiv 2502.02737
      {"tinyllama-1.1b", llama(32000, 2048, 22, 2048, 32, 4, 5632, false)},  // arXiv 2401.02385
      {"llama-3-8b", llama3_8b()},                                           // arXiv 2407.21783
      {"mistral-7b", mistral_7b()},                                          // arXiv 2310.06825
      {"pythia-160m", pythia(12, 768, 12)},
      {"pythia-410m", pythia(24, 1024, 16)},
      {"pythia-1b", pythia(16, 2048, 8)},
      {"qwen2-7b", qwen2_7b()},     // arXiv 2407.10671
      {"qwen3-0.6b", qwen3_06b()},  // arXiv 2505.09388
  };
  return all;
}

}  // namespace

void LayerAttention::options(Options& o) {
  o.field("layers", layers, "layers in a row that it is for", {.min = 1});
  o.field("attention", attention, "the mechanism: `type` and its own keys",
          {.required = true, .registry = "attentions"});
}

void GptOptions::options(Options& o) {
  o.field("preset", preset, "a published model's configuration, which the other keys change",
          {.one_of = gpt_presets()});
  o.field("vocab", vocab, "number of token ids; 0 takes the tokenizer's", {.min = 0});
  o.field("channels", channels,
          "ids of a token, each with a table of its own; two: ids are [B, N, 2], and the rows are "
          "added",
          {.min = 1, .max = 2});
  o.field("context", context, "tokens in a training sequence", {.min = 1});
  o.field("layers", layers, "blocks", {.min = 1});
  o.field("dim", dim, "width of the residual stream", {.min = 1});
  o.field("heads", heads, "attention heads", {.min = 1});
  o.field("kv_heads", kv_heads, "key and value heads (grouped queries); 0 means as many as heads",
          {.min = 0});
  o.field("head_dim", head_dim, "features of a head; 0 means dim / heads", {.min = 0});
  o.field("mlp", mlp,
          "feed-forward layer: two linear layers around an activation, or gated: swiglu, geglu",
          {.one_of = {"gelu", "gelu_tanh", "relu", "silu", "swiglu", "geglu"}});
  o.field("hidden", hidden, "its hidden features; 0 means 4 x dim, for gated ones 8/3 x dim",
          {.min = 0});
  o.field("norm", norm, "normalisation before each sub-block",
          {.one_of = {"layer_norm", "rms_norm"}});
  o.field("norm_eps", norm_eps, "added to the variance or mean square", {.above = 0});
  o.field("position", position,
          "how the model knows the order of tokens; sinusoidal ones stand beside embeddings times "
          "sqrt(dim)",
          {.one_of = {"learned", "sinusoidal", "rotary", "alibi", "none"}});
  o.field("rope_base", rope_base, "rotary: ratio of the longest wavelength to the shortest",
          {.above = 0});
  o.field("rotary_dim", rotary_dim, "rotary: features of a head that rotate; 0 means all",
          {.min = 0});
  o.field("rope_scaling", rope_scaling, "rotary: other frequencies, for longer contexts");
  o.field("parallel_residual", parallel_residual,
          "attention and feed-forward layer read the same stream, side by side (GPT-NeoX)");
  o.field("bias", bias, "biases in linear layers and layer norms");
  o.field("qkv_bias", qkv_bias, "biases in the q, k, v projections even without `bias`");
  o.field("out_bias", out_bias, "a bias in attention's projection back even without `bias`");
  o.field("qk_norm", qk_norm, "RMS-normalise each head's queries and keys");
  o.field("tied", tied, "the output projection is the token embedding");
  o.field("dropout", dropout, "dropout after embedding, in attention and before residual additions",
          {.min = 0, .below = 1});
  o.field("embedding_dropout", embedding_dropout, "the same after the embedding alone",
          {.min = 0, .below = 1});
  o.field("attention_dropout", attention_dropout, "the same on attention probabilities alone",
          {.min = 0, .below = 1});
  o.field("residual_dropout", residual_dropout, "the same before residual additions alone",
          {.min = 0, .below = 1});
  o.field("mlp_dropout", mlp_dropout, "dropout of the feed-forward layer's hidden features",
          {.min = 0, .below = 1});
  o.field("checkpointing", checkpointing,
          "recompute each block in the backward pass instead of keeping its activations");
  o.field("init_std", init_std, "standard deviation of the initial weights", {.above = 0});
  o.field("cache_page", cache_page,
          "generation: tokens of a page of the key-value cache; 0 keeps it in one piece",
          {.min = 0});
  o.field("attention", attention, "the attention mechanism: `type` and its own keys",
          {.registry = "attentions"});
  o.list("attentions", attentions,
         "mechanisms in place of `attention`, which the layers take in turn");
  o.check(head_dim > 0 || heads < 1 || dim % heads == 0, "heads",
          fmt::format("heads ({}) must divide dim ({}) unless head_dim is given", heads, dim));
  o.check(kv_heads == 0 || heads % kv_heads == 0, "kv_heads",
          fmt::format("kv_heads ({}) must divide heads ({})", kv_heads, heads));
  const int64_t width = head_dim > 0 || heads < 1 ? head_dim : dim / heads;
  o.check(position != "rotary" || width % 2 == 0, "position",
          fmt::format("rotary positions need an even head_dim, got {}", width));
  o.check(rotary_dim % 2 == 0 && (rotary_dim <= width || width == 0), "rotary_dim",
          fmt::format("rotary_dim ({}) must be even and at most head_dim ({})", rotary_dim, width));
  o.check(
      rotary_dim == 0 || position == "rotary", "rotary_dim",
      fmt::format("rotary_dim ({}) is for rotary positions; these are {}", rotary_dim, position));
}

std::vector<std::string> gpt_presets() { return preset_names(presets()); }

GptOptions gpt_preset(const std::string& name) {
  const auto it = presets().find(name);
  if (it == presets().end()) {
    fail_request("unknown preset '{}'{}", name, did_you_mean(name, gpt_presets()));
  }
  GptOptions options = it->second;
  options.preset = name;
  return options;
}

GptOptions read_gpt_options(const Config& config) {
  return read_with_preset(config, "model gpt", presets());
}

}  // namespace heed::nn
