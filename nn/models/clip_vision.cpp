#include "nn/models/clip_vision.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/view.h"
#include "nn/init.h"

namespace heed::nn {
namespace {

constexpr double kInitStd = 0.02;

const ClipVisionOptions& checked(const ClipVisionOptions& o) {
  if (o.height % o.patch != 0 || o.width % o.patch != 0) {
    fail_request("model clip_vision: patches of {} do not tile images of {} x {}", o.patch,
                 o.height, o.width);
  }
  return o;
}

int64_t patches_of(const ClipVisionOptions& o) {
  return (o.height / o.patch) * (o.width / o.patch);
}

TransformerBlockOptions block_options(const ClipVisionOptions& o, int64_t layer) {
  TransformerBlockOptions block;
  block.dim = o.dim;
  block.heads = o.heads;
  block.hidden = o.hidden;
  block.mlp = o.mlp;
  block.norm_eps = o.norm_eps;
  block.attention_dropout = o.attention_dropout;
  block.init = init::normal(kInitStd);
  block.attention = Config(Config::Map{{"type", "softmax"}});
  block.layer = layer;
  block.layers = o.layers;
  return block;
}

}  // namespace

void ClipVisionOptions::options(Options& o) {
  o.field("height", height, "pixels of an image", {.min = 1});
  o.field("width", width, "pixels of an image", {.min = 1});
  o.field("channels", channels, "channels of an image", {.min = 1});
  o.field("patch", patch, "side of a patch", {.min = 1});
  o.field("layers", layers, "blocks", {.min = 1});
  o.field("dim", dim, "width of the residual stream", {.min = 1});
  o.field("heads", heads, "attention heads", {.min = 1});
  o.field("hidden", hidden, "hidden features of the feed-forward layers", {.min = 1});
  o.field("mlp", mlp, "their activation",
          {.one_of = {"quick_gelu", "gelu", "gelu_tanh", "relu", "silu"}});
  o.field("norm_eps", norm_eps, "added to the variance", {.above = 0});
  o.field("layer", layer,
          "whose states are taken: blocks before them, or, negative, counted from the end (-1: the "
          "last one's)");
  o.field("cls", cls, "the class token's state stands before the patches'");
  o.field("attention_dropout", attention_dropout, "dropout of attention probabilities",
          {.min = 0, .below = 1});
  o.check(heads < 1 || dim % heads == 0, "heads",
          fmt::format("heads ({}) must divide dim ({})", heads, dim));
  o.check(layer <= layers && layer >= -layers - 1, "layer",
          fmt::format("layer is {}, and there are {}", layer, layers));
}

ClipVision::ClipVision(const ClipVisionOptions& o)
    : patch_embed(
          PatchEmbedOptions{
              .channels = checked(o).channels, .dim = o.dim, .patch = o.patch, .bias = false},
          init::normal(kInitStd)),
      position(LearnedPositionOptions{.context = patches_of(o) + 1, .dim = o.dim},
               init::normal(kInitStd)),
      norm_in(make_norm("layer_norm", o.dim, o.norm_eps, true)),
      norm(make_norm("layer_norm", o.dim, o.norm_eps, true)),
      options_(o),
      used_(static_cast<size_t>(o.layer >= 0 ? o.layer : o.layers + 1 + o.layer)) {
  cls = Tensor::empty({o.dim});
  children({{"patch_embed", patch_embed}});
  parameters({{"cls", cls, init::normal(kInitStd)}});
  children({{"position", position}, {"norm_in", *norm_in}, {"blocks", blocks}, {"norm", *norm}});
  for (int64_t layer = 0; layer < o.layers; ++layer) blocks.emplace(block_options(o, layer));
  for (size_t i = used_; i < blocks.size(); ++i) blocks[i].freeze();
  norm->freeze();
}

int64_t ClipVision::tokens() const { return patches_of(options_) + (options_.cls ? 1 : 0); }

double ClipVision::flops() const {
  const int64_t patches = patches_of(options_);
  double total =
      2.0 * static_cast<double>(patches) * static_cast<double>(patch_embed.conv.weight.numel());
  size_t left = used_;
  for (const auto& block : blocks) {
    if (left-- == 0) break;
    total += block->flops(patches + 1);
  }
  return total;
}

Tensor ClipVision::forward(const Tensor& images) {
  const ClipVisionOptions& o = options_;
  HEED_CHECK(images.rank() == 4 && images.size(1) == o.height && images.size(2) == o.width &&
                 images.size(3) == o.channels,
             "clip_vision: wants images [B, {}, {}, {}], got {}", o.height, o.width, o.channels,
             images);
  const int64_t batch = images.size(0), patches = patches_of(o);
  const Tensor tiles = reshape(patch_embed(cast(images, compute_dtype())), {batch, patches, o.dim});
  const Tensor first = expand(reshape(cast(cls, tiles.dtype()), {1, 1, o.dim}), {batch, 1, o.dim});
  Stream stream{norm_in->forward(position.forward(concat({first, tiles}, 1)))};
  const AttentionContext context{.positions = position_ids(0, patches + 1)};
  for (size_t i = 0; i < used_; ++i) stream = blocks[i].forward(stream, context);
  const Tensor x = sum_of(stream);
  return o.cls ? x : slice(x, 1, 1, patches + 1);
}

}  // namespace heed::nn
