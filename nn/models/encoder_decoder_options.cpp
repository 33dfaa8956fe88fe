// The options of `encoder_decoder`, and the published models as presets.
#include <map>

#include "nn/models/encoder_decoder.h"
#include "nn/models/presets.h"

namespace heed::nn {
namespace {

// T5 (arXiv 1910.10683, section 3.1.1): no biases, RMS norms, scores without a scale.
EncoderDecoderOptions t5(int64_t layers, int64_t dim, int64_t heads, int64_t hidden) {
  EncoderDecoderOptions o;
  o.vocab = 32128;
  o.layers = layers;
  o.dim = dim;
  o.heads = heads;
  o.head_dim = 64;
  o.hidden = hidden;
  o.scaled_logits = true;
  o.cross_scale = 1.0;
  o.attention = Config(Config::Map{{"type", "softmax"}, {"scale", 1.0}});
  return o;
}

// Vaswani et al. 2017, table 3, first row.
EncoderDecoderOptions transformer_base() {
  EncoderDecoderOptions o;
  o.vocab = 37000;
  o.dim = 512;
  o.heads = 8;
  o.norm = "layer_norm";
  o.norm_eps = 1e-5;
  o.norm_first = false;
  o.bias = true;
  o.position = "sinusoidal";
  o.scaled_embedding = true;
  return o;
}

const std::map<std::string, EncoderDecoderOptions>& presets() {
  static const std::map<std::string, EncoderDecoderOptions> all = {
      {"t5-small", t5(6, 512, 8, 2048)},
      {"t5-base", t5(12, 768, 12, 3072)},
      {"transformer-base", transformer_base()},
  };
  return all;
}

}  // namespace

void EncoderDecoderOptions::options(Options& o) {
  o.field("preset", preset, "a published model's configuration, which the other keys change",
          {.one_of = encoder_decoder_presets()});
  o.field("vocab", vocab, "number of token ids; 0 takes the tokenizer's", {.min = 0});
  o.field("context", context, "tokens of a text at most, for learned positions", {.min = 1});
  o.field("layers", layers, "encoder blocks", {.min = 1});
  o.field("decoder_layers", decoder_layers, "decoder blocks; 0 means as many", {.min = 0});
  o.field("dim", dim, "width of the residual stream", {.min = 1});
  o.field("heads", heads, "attention heads", {.min = 1});
  o.field("head_dim", head_dim, "features of a head; 0 means dim / heads", {.min = 0});
  o.field("hidden", hidden, "hidden features of the feed-forward layers; 0 means their default",
          {.min = 0});
  o.field("mlp", mlp, "feed-forward layer: two linear layers around an activation, or swiglu",
          {.one_of = {"gelu", "gelu_tanh", "relu", "silu", "swiglu"}});
  o.field("norm", norm, "normalisation", {.one_of = {"layer_norm", "rms_norm"}});
  o.field("norm_eps", norm_eps, "added to the variance or mean square", {.above = 0});
  o.field("norm_first", norm_first, "before each branch and at the end, or after each addition");
  o.field("bias", bias, "biases in linear layers and layer norms");
  o.field("position", position,
          "how the model knows the order of tokens; t5: learned biases of the scores by distance; "
          "sinusoidal ones want scaled_embedding",
          {.one_of = {"t5", "sinusoidal", "learned", "rotary", "none"}});
  o.field("buckets", buckets, "t5: distances that are told apart", {.min = 4});
  o.field("max_distance", max_distance, "t5: distances from here on are one", {.min = 2});
  o.field("tied", tied, "the output projection is the token embedding");
  o.field("scaled_embedding", scaled_embedding, "embeddings times sqrt(dim)");
  o.field("scaled_logits", scaled_logits, "states before the output projection over sqrt(dim)");
  o.field("cross_scale", cross_scale,
          "factor on the scores of attention to the encoder; 0 means 1/sqrt(head_dim)", {.min = 0});
  o.field("start", start, "the id that a decoder begins with", {.min = 0});
  o.field("dropout", dropout, "dropout of embeddings and branches", {.min = 0, .below = 1});
  o.field("attention_dropout", attention_dropout, "dropout of attention probabilities",
          {.min = 0, .below = 1});
  o.field("attention", attention, "the self-attention mechanism: `type` and its own keys",
          {.registry = "attentions"});
  o.check(head_dim > 0 || heads < 1 || dim % heads == 0, "heads",
          fmt::format("heads ({}) must divide dim ({}) unless head_dim is given", heads, dim));
  const int64_t width = head_dim > 0 || heads < 1 ? head_dim : dim / heads;
  o.check(position != "rotary" || width % 2 == 0, "position",
          fmt::format("rotary positions need an even head_dim, got {}", width));
  o.check(position != "t5" || max_distance > buckets / 2, "max_distance",
          fmt::format("max_distance ({}) must exceed the distances with their own buckets",
                      max_distance));
}

std::vector<std::string> encoder_decoder_presets() { return preset_names(presets()); }

EncoderDecoderOptions read_encoder_decoder_options(const Config& config) {
  return read_with_preset(config, "model encoder_decoder", presets());
}

}  // namespace heed::nn
