#include "nn/models/vit.h"

#include <map>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "nn/defaults.h"
#include "nn/init.h"
#include "nn/models/presets.h"

namespace heed::nn {
namespace {

constexpr double kInitStd = 0.02;

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

const std::map<std::string, VitOptions>& presets() {
  static const std::map<std::string, VitOptions> all = {
      {"deit-tiny", imagenet(12, 192, 3)},
      {"deit-small", imagenet(12, 384, 6)},
      {"deit-base", imagenet(12, 768, 12)},
      {"vit-large", imagenet(24, 1024, 16)},
  };
  return all;
}

TransformerBlockOptions block_options(const VitOptions& o, int64_t layer) {
  TransformerBlockOptions block;
  block.dim = o.dim;
  block.heads = o.heads;
  block.hidden = o.hidden;
  block.mlp = o.mlp;
  block.norm = o.norm;
  block.norm_eps = o.norm_eps;
  if (o.position == "rotary") block.position = "rotary";
  block.dropout = o.dropout;
  block.attention_dropout = o.attention_dropout;
  block.drop_path = drop_path_of_layer(o.drop_path, layer, o.layers);
  block.layer_scale = o.layer_scale;
  block.init = init::truncated_normal(kInitStd);
  block.attention = o.attention;
  block.layer = layer;
  block.layers = o.layers;
  return block;
}

const VitOptions& checked(const VitOptions& o) {
  if (o.classes <= 0 || o.height <= 0 || o.width <= 0) {
    fail_request(
        "model vit: `classes`, `height` and `width` are not given (a recipe takes them "
        "from its data)");
  }
  if (o.height % o.patch != 0 || o.width % o.patch != 0) {
    fail_request("model vit: patches of {} do not tile images of {} x {}", o.patch, o.height,
                 o.width);
  }
  return o;
}

}  // namespace

void VitOptions::options(Options& o) {
  o.field("preset", preset, "a published model's configuration, which the other keys change",
          {.one_of = vit_presets()});
  o.field("height", height, "rows of an image; 0 takes the data's", {.min = 0});
  o.field("width", width, "columns of an image; 0 takes the data's", {.min = 0});
  o.field("channels", channels, "channels of an image; 0 takes the data's", {.min = 0});
  o.field("classes", classes, "outputs; 0 takes the data's", {.min = 0});
  o.field("patch", patch, "pixels along an edge of a patch", {.min = 1});
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
  o.field("position", position, "how the model knows where a patch lies, row by row",
          {.one_of = {"learned", "sinusoidal", "rotary", "none"}});
  o.field("pool", pool, "what is classified: a class token's state or the mean of the patches'",
          {.one_of = {"cls", "mean"}});
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
  o.check(heads < 1 || dim % heads == 0, "heads",
          fmt::format("heads ({}) must divide dim ({})", heads, dim));
  o.check(position != "rotary" || heads < 1 || dim / heads % 2 == 0, "position",
          "rotary positions need an even dim / heads");
}

std::vector<std::string> vit_presets() { return preset_names(presets()); }

VitOptions read_vit_options(const Config& config) {
  return read_with_preset(config, "model vit", presets());
}

Vit::Vit(const VitOptions& o)
    : patch_embed({.channels = checked(o).channels, .dim = o.dim, .patch = o.patch}),
      dropout(o.dropout),
      norm(make_norm(o.norm, o.dim, o.norm_eps, true)),
      head(o.dim, o.classes, true, init::truncated_normal(kInitStd)),
      options_(o) {
  children({{"patch_embed", patch_embed}});
  if (o.pool == "cls") {
    cls = Tensor::empty({1, 1, o.dim});
    parameters({{"cls", cls, init::truncated_normal(kInitStd)}});
  }
  if (o.position == "learned") {
    position =
        std::make_unique<LearnedPosition>(LearnedPositionOptions{.context = tokens(), .dim = o.dim},
                                          init::truncated_normal(kInitStd));
    children({{"position", *position}});
  } else if (o.position == "sinusoidal") {
    sinusoidal = std::make_unique<SinusoidalPosition>(SinusoidalPositionOptions{o.dim});
    children({{"sinusoidal", *sinusoidal}});
  }
  for (int64_t layer = 0; layer < o.layers; ++layer) blocks.emplace(block_options(o, layer));
  children({{"dropout", dropout}, {"blocks", blocks}, {"norm", *norm}, {"head", head}});
}

int64_t Vit::tokens() const {
  const int64_t patches = (options_.height / options_.patch) * (options_.width / options_.patch);
  return patches + (options_.pool == "cls" ? 1 : 0);
}

Tensor Vit::resized_table(const std::string& name, const Tensor& given) const {
  if (name != "position.weight") return {};
  return resized_rows(given, cls.defined() ? 1 : 0, options_.height / options_.patch,
                      options_.width / options_.patch);
}

ClassifierInput Vit::input() const {
  return ClassifierInput::images(options_.height, options_.width, options_.channels);
}

Config Vit::config() const { return with_defaults(Config(Config::Map{{"type", "vit"}}), options_); }

Tensor Vit::features(const Tensor& images) {
  HEED_CHECK(images.rank() == 4 && images.size(1) == options_.height &&
                 images.size(2) == options_.width && images.size(3) == options_.channels,
             "vit: wants images [B, {}, {}, {}], got {}", options_.height, options_.width,
             options_.channels, images);
  const int64_t batch = images.size(0);
  const TokenSplit* split = token_split();
  const AttentionContext context{
      .positions = split ? split->positions(tokens()) : position_ids(0, tokens()),
      .grid = {options_.height / options_.patch, options_.width / options_.patch},
      .globals = cls.defined() ? 1 : 0};
  const auto start = [&] {
    Tensor x = reshape(patch_embed(cast(images, compute_dtype())), {batch, -1, options_.dim});
    if (cls.defined()) {
      x = concat({expand(cast(cls, x.dtype()), {batch, 1, options_.dim}), x}, 1);
    }
    if (split) x = split->own(x);
    if (position) x = position->forward(x, context.positions);
    if (sinusoidal) x = sinusoidal->forward(x, context.positions);
    return dropout(x);
  };
  const Shape shape{batch, context.positions.numel(), options_.dim};
  const Stream stream = blocks.run(shape, compute_dtype(), start, context, options_.checkpointing);
  const Tensor own = norm->forward_sum(stream).second;
  return split ? split->whole(own) : own;
}

Tensor Vit::forward(const Tensor& images, const Tensor& lengths) {
  HEED_CHECK(!lengths.defined(), "vit: images take no lengths");
  const Tensor x = features(images);
  return head(cls.defined() ? select(x, 1, 0) : mean(x, {1}));
}

double Vit::flops() const {
  double total = 2.0 * static_cast<double>(head.weight.numel());
  total += 2.0 * static_cast<double>(patch_embed.conv.weight.numel()) *
           static_cast<double>(tokens() - (cls.defined() ? 1 : 0));
  for (const auto& block : blocks) total += block->flops(tokens());
  return total;
}

}  // namespace heed::nn
