#include "nn/models/vit_options.h"

#include "nn/models/compact.h"

namespace heed::nn {
namespace {

// arXiv 2012.12877, table 1, and 2010.11929, table 1; for ImageNet.
VitOptions imagenet(int64_t layers, int64_t dim, int64_t heads) {
  VitOptions o;
  o.height = o.width = 224;
  o.classes = 1000;
  o.patch = 16;
  o.layers = layers;
  o.dim = dim;
  o.heads = heads;
  return o;
}

void stem_fields(VitOptions& v, Options& o) {
  o.field("stem", v.stem, "image to tokens: patches side by side, or convolutions with max-pools",
          {.one_of = {"patch", "convs"}});
  o.field("patch", v.patch, "pixels along an edge of a patch", {.min = 1});
  o.field("stem_kernel", v.stem_kernel, "convs: their taps along an edge", {.min = 1});
  o.field("stem_convs", v.stem_convs, "convs: how many, each with a pool of stride 2", {.min = 1});
  o.field("stem_width", v.stem_width, "convs: channels of all but the last", {.min = 1});
  o.field("stem_init", v.stem_init,
          "patch: initial weights uniform as in PyTorch, or Kaiming normal as those of convs are",
          {.one_of = {"uniform", "kaiming"}});
}

}  // namespace

void VitOptions::options(Options& o) {
  o.field("preset", preset, "a published model's configuration, which the other keys change",
          {.one_of = preset_names(vit_presets())});
  o.field("height", height, "rows of an image; 0 takes the data's", {.min = 0});
  o.field("width", width, "columns of an image; 0 takes the data's", {.min = 0});
  o.field("channels", channels, "channels of an image; 0 takes the data's", {.min = 0});
  o.field("classes", classes, "outputs; 0 takes the data's", {.min = 0});
  stem_fields(*this, o);
  o.field("layers", layers, "blocks", {.min = 1});
  o.field("dim", dim, "width of the residual stream", {.min = 1});
  o.field("heads", heads, "attention heads", {.min = 1});
  o.field("hidden", hidden, "hidden features of the feed-forward layers; 0 means their default",
          {.min = 0});
  o.field("mlp", mlp, "feed-forward layer: two linear layers around an activation, or swiglu",
          {.one_of = {"gelu", "gelu_tanh", "relu", "silu", "swiglu"}});
  o.field("norm", norm, "normalisation before each sub-block",
          {.one_of = {"layer_norm", "rms_norm"}});
  o.field("norm_eps", norm_eps, "added to the variance or mean square", {.above = 0});
  o.field("normed_stream", normed_stream,
          "a block's second norm replaces the residual stream (Compact Transformers)");
  o.field("qkv_bias", qkv_bias, "biases in the q, k, v projections");
  o.field("position", position, "how the model knows where a patch lies, row by row",
          {.one_of = {"learned", "sinusoidal", "rotary", "none"}});
  o.field("position_std", position_std,
          "deviation of learned positions' initial values, truncated normal", {.above = 0});
  o.field(
      "pool", pool,
      "what is classified: a class token's state, the mean of the patches', or their sum weighted "
      "by a learned softmax",
      {.one_of = {"cls", "mean", "attention"}});
  o.field("registers", registers,
          "learned tokens between the class token and the patches that are not read out: DeiT's "
          "distillation token (arXiv 2012.12877), or registers (arXiv 2309.16588)",
          {.min = 0});
  o.field("dropout", dropout, "dropout of embeddings and branches", {.min = 0, .below = 1});
  o.field("attention_dropout", attention_dropout, "dropout of attention probabilities",
          {.min = 0, .below = 1});
  o.field("drop_path", drop_path, "stochastic depth of the last block, growing from 0 linearly",
          {.min = 0, .below = 1});
  o.field("layer_scale", layer_scale, "first value of a learned factor on each branch; 0: none",
          {.min = 0});
  o.field("checkpointing", checkpointing,
          "recompute each block in the backward pass instead of keeping its activations");
  o.field("attention", attention, "the attention mechanism: `type` and its own keys",
          {.registry = "attentions"});
  o.check(registers == 0 || pool == "cls", "registers", "registers stand beside a class token");
  o.check(heads < 1 || dim % heads == 0, "heads",
          fmt::format("heads ({}) must divide dim ({})", heads, dim));
  o.check(position != "rotary" || heads < 1 || dim / heads % 2 == 0, "position",
          "rotary positions need an even dim / heads");
}

const std::map<std::string, VitOptions>& vit_presets() {
  static const std::map<std::string, VitOptions> all = [] {
    std::map<std::string, VitOptions> models = compact_presets();
    models.insert({
        {"deit-tiny", imagenet(12, 192, 3)},
        {"deit-small", imagenet(12, 384, 6)},
        {"deit-base", imagenet(12, 768, 12)},
        {"vit-large", imagenet(24, 1024, 16)},
    });
    return models;
  }();
  return all;
}

VitOptions read_vit_options(const Config& config) {
  return read_with_preset(config, "model vit", vit_presets());
}

ConvTokenizerOptions tokenizer_options(const VitOptions& o) {
  return {.channels = o.channels,
          .dim = o.dim,
          .kernel = o.stem_kernel,
          .convs = o.stem_convs,
          .width = o.stem_width};
}

Shape vit_grid(const VitOptions& o) {
  if (o.stem == "patch") return {o.height / o.patch, o.width / o.patch};
  return tokenizer_options(o).grid({o.height, o.width});
}

int64_t vit_globals(const VitOptions& o) { return o.pool == "cls" ? 1 + o.registers : 0; }

int64_t vit_tokens(const VitOptions& o) { return vit_globals(o) + vit_grid(o).numel(); }

}  // namespace heed::nn
