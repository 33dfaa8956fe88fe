#include "nn/models/pyramid_options.h"

#include "nn/models/nat.h"
#include "nn/models/van.h"

namespace heed::nn {
namespace {

// DaViT (arXiv 2204.03645, table 1): depths count both halves of a dual block.
PyramidOptions davit(std::vector<int64_t> depths) {
  PyramidOptions o = imagenet_pyramid(std::move(depths), 96);
  o.stem = "overlapping";
  o.downsample = "norm_conv";
  o.conv_position = "both";
  o.pool_first = true;
  o.drop_path = 0.1;
  return o;
}

// Images of 32 x 32: patches of 2, maps from 16 x 16 to 2 x 2.
PyramidOptions cifar() {
  PyramidOptions o = imagenet_pyramid({1, 2, 4, 1}, 32);
  o.height = o.width = 32;
  o.classes = 10;
  o.patch = 2;
  o.stem = "overlapping";
  o.conv_position = "attention";
  return o;
}

const std::vector<std::string> kNorms = {"layer_norm", "rms_norm", "batch_norm"};

void size_fields(PyramidOptions& p, Options& o) {
  o.field(
      "preset", p.preset,
      "a published model, which the other keys change; of a \"-shape\" the attention is the slot's",
      {.one_of = preset_names(pyramid_presets())});
  o.field("height", p.height, "rows of an image; 0 takes the data's", {.min = 0});
  o.field("width", p.width, "columns of an image; 0 takes the data's", {.min = 0});
  o.field("channels", p.channels, "channels of an image", {.min = 1});
  o.field("depths", p.depths, "blocks of each stage", {.min = 1});
  o.field("dims", p.dims, "channels of each stage", {.min = 1});
  o.field("heads", p.heads, "attention heads of each stage", {.min = 1});
  o.field(
      "mlp_ratios", p.mlp_ratios,
      "hidden features of the feed-forward layers over their channels: of each stage, or of all",
      {.above = 0});
}

void shape_fields(PyramidOptions& p, Options& o) {
  o.field(
      "mlp", p.mlp,
      "feed-forward layer: two linear layers around an activation, or swiglu; or none: blocks of "
      "attention alone",
      {.one_of = {"gelu", "gelu_tanh", "relu", "silu", "swiglu", "none"}});
  o.field("mlp_conv", p.mlp_conv,
          "depthwise 3x3 convolution of its hidden features: in their place, or added to them",
          {.one_of = {"none", "hidden", "residual"}});
  o.field("stem", p.stem,
          "image to first map: patches side by side, one convolution of overlapping ones, or a 3x3 "
          "convolution of stride 2 for each halving",
          {.one_of = {"patch", "overlapping", "convs"}});
  o.field("patch", p.patch, "how much smaller the first map is than the image", {.min = 1});
  o.field("downsample", p.downsample,
          "between stages: merging of 2 x 2 patches, a 3x3 convolution and a norm, or a norm and a "
          "2x2 convolution",
          {.one_of = {"merge", "conv", "norm_conv"}});
  o.field("downsample_bias", p.downsample_bias, "biases in the convolutions between stages");
  o.field("embed_norm", p.embed_norm, "norm of the stem and between stages", {.one_of = kNorms});
  o.field("norm", p.norm, "normalisation before each sub-block", {.one_of = kNorms});
  o.field("norm_eps", p.norm_eps, "added to the variance or mean square", {.above = 0});
  o.field("end_norm", p.end_norm, "normalisation behind the blocks", {.one_of = kNorms});
  o.field("end_norm_eps", p.end_norm_eps, "its norm_eps; 0: as the others'", {.min = 0});
  o.field("stage_norms", p.stage_norms, "have it behind every stage, not the last alone");
  o.field("pool_first", p.pool_first, "normalise the mean of the last map, not each of its pixels");
  o.field("position", p.position, "a learned vector for each place of the first map, or none",
          {.one_of = {"none", "learned"}});
  o.field(
      "conv_position", p.conv_position,
      "depthwise 3x3 convolutions as positions: none, before attention, or before both branches",
      {.one_of = {"none", "attention", "both"}});
}

}  // namespace

PyramidOptions imagenet_pyramid(std::vector<int64_t> depths, int64_t dim) {
  constexpr int64_t kHeadDim = 32;
  PyramidOptions o;
  o.height = o.width = 224;
  o.classes = 1000;
  o.dims.clear(), o.heads.clear();
  for (size_t stage = 0; stage < depths.size(); ++stage) {
    o.dims.push_back(dim << stage);
    o.heads.push_back((dim << stage) / kHeadDim);
  }
  o.depths = std::move(depths);
  return o;
}

void StageAttention::options(Options& o) {
  o.field("stages", stages, "stages that it is for, counted from 1; empty: all", {.min = 1});
  o.field("attention", attention, "the mechanism: `type` and its own keys",
          {.registry = "attentions"});
}

void PyramidOptions::options(Options& o) {
  stage_options(o);
  o.field("classes", classes, "outputs; 0 takes the data's", {.min = 0});
}

void PyramidOptions::stage_options(Options& o) {
  size_fields(*this, o);
  shape_fields(*this, o);
  o.field("dropout", dropout, "dropout of embeddings and branches", {.min = 0, .below = 1});
  o.field("attention_dropout", attention_dropout, "dropout of attention probabilities",
          {.min = 0, .below = 1});
  o.field("drop_path", drop_path, "stochastic depth of the last block, growing from 0 linearly",
          {.min = 0, .below = 1});
  o.field("layer_scale", layer_scale, "first value of a learned factor on each branch; 0: none",
          {.min = 0});
  o.field("init", init,
          "initial weights: truncated normal, convolutions uniform as in PyTorch; or all of the "
          "stages' normal by their fan-out",
          {.one_of = {"truncated_normal", "fan_out"}});
  o.field("init_std", init_std,
          "deviation of initial weights, truncated; 0.02 suits some hundred features",
          {.above = 0});
  o.field("checkpointing", checkpointing,
          "recompute each block in the backward pass instead of keeping its activations");
  o.field("attention", attention, "the attention mechanism: `type` and its own keys",
          {.registry = "attentions"});
  o.list("attentions", attentions,
         "mechanisms in place of `attention`: the blocks of a stage take those that are for it in "
         "turn");

  const size_t count = depths.size();
  o.check(count > 0 && dims.size() == count && heads.size() == count, "depths",
          fmt::format("{} stages of depths, but {} of dims and {} of heads", count, dims.size(),
                      heads.size()));
  o.check(mlp_ratios.size() == 1 || mlp_ratios.size() == count, "mlp_ratios",
          fmt::format("{} mlp_ratios for {} stages", mlp_ratios.size(), count));
  for (size_t i = 0; i < std::min(dims.size(), heads.size()); ++i) {
    o.check(heads[i] < 1 || dims[i] % heads[i] == 0, "heads",
            fmt::format("heads ({}) must divide dims ({}) in stage {}", heads[i], dims[i], i + 1));
  }
  o.check(stem != "convs" || (patch > 1 && (patch & (patch - 1)) == 0), "patch",
          fmt::format("a stem of convolutions of stride 2 needs a power of 2, got {}", patch));
  o.check(mlp_conv == "none" || (mlp != "swiglu" && mlp != "none"), "mlp_conv",
          fmt::format("a convolution of hidden features goes with two linear layers, not with {}",
                      mlp));
}

const std::map<std::string, PyramidOptions>& pyramid_presets() {
  static const std::map<std::string, PyramidOptions> all = [] {
    std::map<std::string, PyramidOptions> models = nat_presets();
    models.merge(van_presets());
    models.insert({
        {"pyramid-cifar", cifar()},
        {"davit-tiny-shape", davit({2, 2, 6, 2})},
        {"davit-small-shape", davit({2, 2, 18, 2})},
        {"swin-tiny-shape", imagenet_pyramid({2, 2, 6, 2}, 96)},
        {"swin-small-shape", imagenet_pyramid({2, 2, 18, 2}, 96)},
        {"swin-base-shape", imagenet_pyramid({2, 2, 18, 2}, 128)},
    });
    return models;
  }();
  return all;
}

PyramidOptions read_pyramid_options(const Config& config) {
  return read_pyramid_config<PyramidOptions>(config, "model pyramid");
}

}  // namespace heed::nn
