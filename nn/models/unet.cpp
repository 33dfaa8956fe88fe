#include "nn/models/unet.h"

#include <algorithm>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/interpolate.h"
#include "autograd/ops/view.h"
#include "nn/attention/registry.h"
#include "nn/defaults.h"
#include "nn/init.h"

namespace heed::nn {
namespace {

int64_t embedding_width(const UnetOptions& o) { return 4 * o.dim; }
bool embeds(const UnetOptions& o) { return o.time || o.classes > 0; }
int64_t level_width(const UnetOptions& o, int64_t level) {
  return o.dim * o.multipliers[static_cast<size_t>(level)];
}
int64_t lowest_width(const UnetOptions& o) { return o.dim * o.multipliers.back(); }

GroupNormOptions norm_of(const UnetOptions& o, int64_t channels) {
  return {.dim = channels, .groups = o.groups};
}

ConvLayerOptions conv3(int64_t in, int64_t out, int64_t stride = 1) {
  return same_conv(in, out, 3, stride, 1, true);
}

// Levels that attend are the lowest ones.
bool attends(const UnetOptions& o, int64_t level) {
  return level + o.attention_levels >= static_cast<int64_t>(o.multipliers.size());
}

int64_t attention_count(const UnetOptions& o) {
  const auto levels = static_cast<int64_t>(o.multipliers.size());
  return o.attention_levels == 0 ? 0 : 2 * std::min(o.attention_levels, levels) * o.blocks + 1;
}

const UnetOptions& checked(const UnetOptions& o) {
  if (o.channels <= 0 || o.outputs <= 0) {
    fail_request(
        "model unet: `channels` and `outputs` are not given (a recipe takes them from "
        "its data)");
  }
  return o;
}

double conv_flops(const Conv& conv, int64_t pixels) {
  return 2.0 * static_cast<double>(conv.weight.numel()) * static_cast<double>(pixels);
}

}  // namespace

void UnetOptions::options(Options& o) {
  o.field("height", height, "rows of an image; 0 takes the data's", {.min = 0});
  o.field("width", width, "columns of an image; 0 takes the data's", {.min = 0});
  o.field("channels", channels, "channels of an image; 0 takes the data's", {.min = 0});
  o.field("outputs", outputs, "channels of the result; 0 takes the task's", {.min = 0});
  o.field("classes", classes, "labels that the result depends on; 0 takes the task's", {.min = 0});
  o.field("dim", dim, "channels of the first level", {.min = 1});
  o.field("multipliers", multipliers,
          "channels of each level, in units of `dim`; each level after the first halves the image",
          {.min = 1});
  o.field("blocks", blocks, "residual blocks of a level, down and up", {.min = 1});
  o.field("groups", groups, "groups of channels that are normalised together", {.min = 1});
  o.field("attention_levels", attention_levels,
          "how many of the lowest levels (and the middle) attend; 0: none", {.min = 0});
  o.field("heads", heads, "attention heads", {.min = 1});
  o.field("time", time, "takes the time of a noisy image: a denoiser");
  o.field("class_dropout", class_dropout,
          "probability that training hides a label, for classifier-free guidance",
          {.min = 0, .below = 1});
  o.field("dropout", dropout, "dropout within blocks", {.min = 0, .below = 1});
  o.field("attention", attention, "the attention mechanism: `type` and its own keys",
          {.registry = "attentions"});
  o.check(!multipliers.empty(), "multipliers", "there must be a level");
  o.check(groups < 1 || dim % groups == 0, "groups",
          fmt::format("groups ({}) must divide dim ({})", groups, dim));
  o.check(attention_levels == 0 || heads < 1 || dim % heads == 0, "heads",
          fmt::format("heads ({}) must divide dim ({})", heads, dim));
}

UnetBlock::UnetBlock(const UnetOptions& o, int64_t in, int64_t out)
    : norm1(norm_of(o, in)),
      norm2(norm_of(o, out)),
      conv1(conv3(in, out)),
      conv2(conv3(out, out), init::zeros()),  // a block starts as its shortcut
      dropout(o.dropout) {
  children({{"norm1", norm1}, {"conv1", conv1}, {"norm2", norm2}, {"conv2", conv2}});
  children({{"dropout", dropout}});
  if (embeds(o)) {
    embed = std::make_unique<Linear>(embedding_width(o), out);
    children({{"embed", *embed}});
  }
  if (in != out) {
    shortcut = std::make_unique<Conv>(same_conv(in, out, 1, 1, 1, true));
    children({{"shortcut", *shortcut}});
  }
}

Tensor UnetBlock::forward(const Tensor& x, const Tensor& embedding) {
  Tensor y = conv1(silu(norm1(x)));
  if (embed) y = add(y, reshape((*embed)(silu(embedding)), {x.size(0), 1, 1, -1}));
  y = conv2(dropout(silu(norm2(y))));
  return add(shortcut ? (*shortcut)(x) : x, y);
}

double UnetBlock::flops(int64_t pixels) const {
  double total = conv_flops(conv1, pixels) + conv_flops(conv2, pixels);
  if (shortcut) total += conv_flops(*shortcut, pixels);
  if (embed) total += 2.0 * static_cast<double>(embed->weight.numel());
  return total;
}

UnetAttention::UnetAttention(const UnetOptions& o, int64_t channels, int64_t layer, int64_t layers)
    : norm(norm_of(o, channels)) {
  AttentionHost host;
  host.dim = channels;
  host.heads = o.heads;
  host.causal = false;
  host.layer = layer;
  host.layers = layers;
  host.init = {{}, init::zeros()};
  attn = make_attention(o.attention, host);
  children({{"norm", norm}, {"attn", *attn}});
}

Tensor UnetAttention::forward(const Tensor& x) {
  const Tensor tokens = reshape(norm(x), {x.size(0), -1, x.size(3)});
  const AttentionContext context{.grid = {x.size(1), x.size(2)}};
  return add(x, reshape(attn->forward(tokens, context), x.shape()));
}

UnetLevel::UnetLevel(const UnetOptions& o, const UnetLevelOptions& level) {
  for (int64_t i = 0; i < o.blocks; ++i) {
    blocks.emplace(o, i == 0 ? level.in : level.width, level.width);
    if (level.attends) {
      attentions.emplace(o, level.width, level.attention + i, level.attentions);
    }
  }
  children({{"blocks", blocks}});
  if (level.attends) children({{"attentions", attentions}});
  if (level.resize) {
    resize = std::make_unique<Conv>(*level.resize);
    children({{"resize", *resize}});
  }
}

Tensor UnetLevel::forward(Tensor x, const Tensor& embedding) {
  for (size_t i = 0; i < blocks.size(); ++i) {
    x = blocks[i].forward(x, embedding);
    if (i < attentions.size()) x = attentions[i].forward(x);
  }
  return x;
}

double UnetLevel::flops(int64_t pixels, int64_t resized) const {
  double total = resize ? conv_flops(*resize, resized) : 0.0;
  for (const auto& block : blocks) total += block->flops(pixels);
  for (const auto& attention : attentions) total += attention->attn->flops(pixels);
  return total;
}

Unet::Unet(const UnetOptions& o)
    : stem(conv3(checked(o).channels, level_width(o, 0))),
      middle1(o, lowest_width(o), lowest_width(o)),
      middle2(o, lowest_width(o), lowest_width(o)),
      norm(norm_of(o, level_width(o, 0))),
      // A denoiser starts at 0, its target's mean.
      head(conv3(level_width(o, 0), o.outputs), o.time ? init::zeros() : Init()),
      options_(o) {
  const auto levels = static_cast<int64_t>(o.multipliers.size());
  if (o.time) {
    time = std::make_unique<TimeEmbedding>(
        TimeEmbeddingOptions{.dim = embedding_width(o), .frequencies = 2 * o.dim});
    children({{"time", *time}});
  }
  if (o.classes > 0) {
    labels = std::make_unique<LabelEmbedding>(LabelEmbeddingOptions{
        .classes = o.classes, .dim = embedding_width(o), .dropout = o.class_dropout});
    children({{"labels", *labels}});
  }
  UnetLevelOptions level;
  level.attentions = attention_count(o);
  for (int64_t i = 0; i < levels; ++i) {
    level.in = level.width = level_width(o, i);
    level.attends = attends(o, i);
    level.resize.reset();
    if (i + 1 < levels) level.resize = conv3(level.width, level_width(o, i + 1), 2);
    down.emplace(o, level);
    if (level.attends) level.attention += o.blocks;
  }
  if (o.attention_levels > 0) {
    middle_attention =
        std::make_unique<UnetAttention>(o, lowest_width(o), level.attention++, level.attentions);
  }
  for (int64_t i = levels - 1; i >= 0; --i) {
    level.width = level_width(o, i);
    level.in = 2 * level.width;
    level.attends = attends(o, i);
    level.resize.reset();
    if (i > 0) level.resize = conv3(level.width, level_width(o, i - 1));
    up.emplace(o, level);
    if (level.attends) level.attention += o.blocks;
  }
  children({{"stem", stem}, {"down", down}, {"middle1", middle1}});
  if (middle_attention) children({{"middle_attention", *middle_attention}});
  children({{"middle2", middle2}, {"up", up}, {"norm", norm}, {"head", head}});
}

ImageGeometry Unet::geometry() const {
  return {.frames = 0,
          .height = options_.height,
          .width = options_.width,
          .channels = options_.channels,
          .outputs = options_.outputs,
          .classes = options_.classes,
          .timed = options_.time};
}

Config Unet::config() const {
  return with_defaults(Config(Config::Map{{"type", "unet"}}), options_);
}

Tensor Unet::embedding(const Tensor& times, const Tensor& given, int64_t batch) {
  Tensor sum;
  if (time) sum = (*time)(times);
  if (labels) {
    const Tensor label = (*labels)(given.defined() ? given : labels->none(batch));
    sum = sum.defined() ? add(sum, label) : label;
  }
  return sum;
}

Tensor Unet::forward(const Tensor& images, const Tensor& times, const Tensor& given) {
  HEED_CHECK(images.rank() == 4 && images.size(3) == options_.channels,
             "unet: wants images [B, H, W, {}], got {}", options_.channels, images);
  HEED_CHECK(times.defined() == options_.time, "unet: {}",
             options_.time ? "needs times [B]" : "takes no times (its `time` is off)");
  HEED_CHECK(labels || !given.defined(), "unet: takes no labels (its `classes` is 0)");
  const Tensor embedded = embedding(times, given, images.size(0));
  Tensor x = stem(cast(images, compute_dtype()));
  std::vector<Tensor> kept;
  for (auto& level : down) {
    x = level->forward(x, embedded);
    kept.push_back(x);
    if (level->resize) x = (*level->resize)(x);
  }
  x = middle1.forward(x, embedded);
  if (middle_attention) x = middle_attention->forward(x);
  x = middle2.forward(x, embedded);
  for (auto& level : up) {
    const Tensor skip = kept.back();
    kept.pop_back();
    x = level->forward(concat({x, skip}, 3), embedded);
    if (level->resize) {
      const Tensor& next = kept.back();
      x = (*level->resize)(interpolate(x, {next.size(1), next.size(2)}));
    }
  }
  return head(silu(norm(x)));
}

double Unet::flops() const {
  const auto halved = [](int64_t n) { return (n + 1) / 2; };
  std::vector<int64_t> pixels;
  for (int64_t h = options_.height, w = options_.width; pixels.size() < down.size();
       h = halved(h), w = halved(w)) {
    pixels.push_back(h * w);
  }
  double total = conv_flops(stem, pixels[0]) + conv_flops(head, pixels[0]);
  const size_t levels = pixels.size();
  for (size_t i = 0; i < levels; ++i) {
    const size_t own = levels - 1 - i;  // of up's i-th
    total += down.begin()[static_cast<ptrdiff_t>(i)]->flops(pixels[i],
                                                            pixels[std::min(i + 1, levels - 1)]);
    total +=
        up.begin()[static_cast<ptrdiff_t>(i)]->flops(pixels[own], pixels[own == 0 ? 0 : own - 1]);
  }
  total += middle1.flops(pixels.back()) + middle2.flops(pixels.back());
  if (middle_attention) total += middle_attention->attn->flops(pixels.back());
  return total;
}

}  // namespace heed::nn
