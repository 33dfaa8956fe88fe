#include "nn/models/dit.h"

#include <cmath>
#include <map>

#include "autograd/checkpoint.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/layout.h"
#include "autograd/ops/view.h"
#include "nn/attention/registry.h"
#include "nn/defaults.h"
#include "nn/init.h"
#include "nn/models/presets.h"

namespace heed::nn {
namespace {

constexpr double kNormEps = 1e-6;

// arXiv 2212.09748, table 1.
DitOptions published(int64_t layers, int64_t dim, int64_t heads, int64_t patch) {
  DitOptions o;
  o.height = o.width = 32;
  o.channels = 4;
  o.outputs = 8;
  o.classes = 1000;
  o.patch = patch;
  o.layers = layers;
  o.dim = dim;
  o.heads = heads;
  return o;
}

const std::map<std::string, DitOptions>& presets() {
  static const std::map<std::string, DitOptions> all = [] {
    std::map<std::string, DitOptions> sizes;
    for (const int64_t patch : {2, 4, 8}) {
      const auto add = [&](const char* size, int64_t layers, int64_t dim, int64_t heads) {
        sizes[fmt::format("dit-{}/{}", size, patch)] = published(layers, dim, heads, patch);
      };
      add("s", 12, 384, 6);
      add("b", 12, 768, 12);
      add("l", 24, 1024, 16);
      add("xl", 28, 1152, 16);
    }
    return sizes;
  }();
  return all;
}

const DitOptions& checked(const DitOptions& o) {
  if (o.height <= 0 || o.width <= 0 || o.channels <= 0) {
    fail_request(
        "model dit: `height`, `width` and `channels` are not given (a recipe takes them "
        "from its data)");
  }
  if (o.height % o.patch != 0 || o.width % o.patch != 0) {
    fail_request("model dit: patches of {} do not tile images of {} x {}", o.patch, o.height,
                 o.width);
  }
  if (std::max<int64_t>(o.frames, 1) % o.patch_frames != 0) {
    fail_request("model dit: patches of {} frames do not tile clips of {}", o.patch_frames,
                 o.frames);
  }
  return o;
}

int64_t patch_pixels(const DitOptions& o) { return o.patch_frames * o.patch * o.patch; }
int64_t outputs(const DitOptions& o) { return o.outputs > 0 ? o.outputs : o.channels; }
Shape patch_shape(const DitOptions& o) { return {o.patch_frames, o.patch, o.patch}; }

// Sines, then cosines, of a coordinate into features [first, first + width).
void write_waves(double at, int64_t first, int64_t width, double* row) {
  const int64_t half = width / 2;
  for (int64_t i = 0; i < half; ++i) {
    const double angle = at * std::pow(1e4, -static_cast<double>(i) / static_cast<double>(half));
    row[first + i] += std::sin(angle);
    row[first + half + i] += std::cos(angle);
  }
}

// norm(x) (1 + scale) + shift, with one of each for a sample.
Tensor modulated(LayerNorm& norm, const Tensor& x, const Tensor& shift, const Tensor& scale) {
  return add(mul(norm.forward(x), add(scale, 1.0)), shift);
}

// `count` parts [B, 1, C] of linear(condition).
std::vector<Tensor> modulation_parts(Linear& linear, const Tensor& condition, int64_t count) {
  const int64_t dim = condition.size(1);
  const Tensor all = reshape(linear(condition), {condition.size(0), 1, count * dim});
  return split(all, std::vector<int64_t>(static_cast<size_t>(count), dim), 2);
}

}  // namespace

void DitOptions::options(Options& o) {
  o.field("preset", preset, "a published model's configuration, which the other keys change",
          {.one_of = dit_presets()});
  o.field("frames", frames, "frames of a clip; 0 takes the data's, or images", {.min = 0});
  o.field("height", height, "rows of an image; 0 takes the data's", {.min = 0});
  o.field("width", width, "columns of an image; 0 takes the data's", {.min = 0});
  o.field("channels", channels, "channels of an image; 0 takes the data's", {.min = 0});
  o.field("outputs", outputs, "channels of the result; 0: as many as go in", {.min = 0});
  o.field("classes", classes, "labels that the result depends on; 0 takes the task's", {.min = 0});
  o.field("patch", patch, "pixels along an edge of a patch", {.min = 1});
  o.field("patch_frames", patch_frames, "frames of a patch", {.min = 1});
  o.field("layers", layers, "blocks", {.min = 1});
  o.field("dim", dim, "width of the residual stream", {.min = 1});
  o.field("heads", heads, "attention heads", {.min = 1});
  o.field("hidden", hidden, "hidden features of the feed-forward layers; 0 means their default",
          {.min = 0});
  o.field("mlp", mlp, "feed-forward layer: two linear layers around an activation, or swiglu",
          {.one_of = {"gelu", "gelu_tanh", "relu", "silu", "swiglu"}});
  o.field("position", position,
          "how the model knows where a patch lies: fixed waves of its coordinates, learned, or "
          "rotary by its number",
          {.one_of = {"sincos", "learned", "rotary", "none"}});
  o.field("qk_norm", qk_norm, "RMS-normalise each head's queries and keys, with a learned scale");
  o.field("class_dropout", class_dropout,
          "probability that training hides a label, for classifier-free guidance",
          {.min = 0, .below = 1});
  o.field("checkpointing", checkpointing,
          "recompute each block in the backward pass instead of keeping its activations");
  o.field("attention", attention, "the attention mechanism: `type` and its own keys",
          {.registry = "attentions"});
  o.check(heads < 1 || dim % heads == 0, "heads",
          fmt::format("heads ({}) must divide dim ({})", heads, dim));
  o.check(position != "sincos" || dim % 4 == 0, "position",
          fmt::format("sincos positions need a dim that 4 divides, not {}", dim));
  o.check(position != "rotary" || heads < 1 || dim / heads % 2 == 0, "position",
          "rotary positions need an even dim / heads");
}

std::vector<std::string> dit_presets() { return preset_names(presets()); }

DitOptions read_dit_options(const Config& config) {
  return read_with_preset(config, "model dit", presets());
}

Tensor grid_positions(int64_t frames, int64_t rows, int64_t columns, int64_t dim) {
  HEED_CHECK(dim % 4 == 0, "grid_positions: 4 must divide dim, got {}", dim);
  std::vector<double> table(static_cast<size_t>(frames * rows * columns * dim), 0.0);
  double* row = table.data();
  for (int64_t t = 0; t < frames; ++t) {
    for (int64_t y = 0; y < rows; ++y) {
      for (int64_t x = 0; x < columns; ++x, row += dim) {
        write_waves(static_cast<double>(x), 0, dim / 2, row);
        write_waves(static_cast<double>(y), dim / 2, dim / 2, row);
        if (frames > 1) write_waves(static_cast<double>(t), 0, dim, row);
      }
    }
  }
  return Tensor::from(table, {frames * rows * columns, dim});
}

DitBlock::DitBlock(const DitOptions& o, int64_t layer)
    : norm1({.dim = o.dim, .eps = kNormEps, .affine = false}),
      norm2({.dim = o.dim, .eps = kNormEps, .affine = false}),
      mlp(make_feed_forward(o.mlp, o.dim, o.hidden, true, 0.0,
                            {init::xavier_uniform(), init::xavier_uniform()})),
      modulation(o.dim, 6 * o.dim, true, init::zeros()) {
  AttentionHost host;
  host.dim = o.dim;
  host.heads = o.heads;
  host.causal = false;
  host.position = o.position == "rotary" ? "rotary" : "none";
  host.qk_norm = o.qk_norm;
  host.layer = layer;
  host.layers = o.layers;
  host.init = {init::xavier_uniform(), init::xavier_uniform()};
  attn = make_attention(o.attention, host);
  children({{"attn", *attn}, {"mlp", *mlp}, {"modulation", modulation}});
}

Tensor DitBlock::forward(const Tensor& x, const Tensor& condition,
                         const AttentionContext& context) {
  const std::vector<Tensor> m = modulation_parts(modulation, condition, 6);
  const Tensor y = add(x, mul(m[2], attn->forward(modulated(norm1, x, m[0], m[1]), context)));
  return add(y, mul(m[5], mlp->forward(modulated(norm2, y, m[3], m[4]))));
}

double DitBlock::flops(int64_t tokens) const {
  return attn->flops(tokens) + mlp->flops_per_token() * static_cast<double>(tokens) +
         2.0 * static_cast<double>(modulation.weight.numel());
}

Dit::Dit(const DitOptions& o)
    : patch_embed(patch_pixels(checked(o)) * o.channels, o.dim, true, init::xavier_uniform()),
      time({.dim = o.dim}),
      norm({.dim = o.dim, .eps = kNormEps, .affine = false}),
      modulation(o.dim, 2 * o.dim, true, init::zeros()),
      head(o.dim, patch_pixels(o) * outputs(o), true, init::zeros()),
      options_(o) {
  children({{"patch_embed", patch_embed}, {"time", time}});
  if (o.classes > 0) {
    labels = std::make_unique<LabelEmbedding>(
        LabelEmbeddingOptions{.classes = o.classes, .dim = o.dim, .dropout = o.class_dropout});
    children({{"labels", *labels}});
  }
  if (o.position == "learned") {
    position = std::make_unique<LearnedPosition>(
        LearnedPositionOptions{.context = tokens(), .dim = o.dim}, init::normal(0.02));
    children({{"position", *position}});
  }
  for (int64_t layer = 0; layer < o.layers; ++layer) blocks.emplace(o, layer);
  children({{"blocks", blocks}, {"modulation", modulation}, {"head", head}});
}

Shape Dit::grid() const {
  return {std::max<int64_t>(options_.frames, 1) / options_.patch_frames,
          options_.height / options_.patch, options_.width / options_.patch};
}

Shape Dit::attended_grid() const {
  const Shape g = grid();
  return options_.frames > 0 ? g : Shape{g[1], g[2]};
}

ImageGeometry Dit::geometry() const {
  return {.frames = options_.frames,
          .height = options_.height,
          .width = options_.width,
          .channels = options_.channels,
          .outputs = outputs(options_),
          .classes = options_.classes,
          .timed = true};
}

Config Dit::config() const { return with_defaults(Config(Config::Map{{"type", "dit"}}), options_); }

Tensor Dit::positioned(const Tensor& x) {
  if (position) return position->forward(x, position_ids(0, x.size(1)));
  if (options_.position != "sincos") return x;
  if (!table_.defined() || table_.dtype() != x.dtype() || table_.device() != x.device()) {
    const Shape g = grid();
    const NoGrad no_grad;
    table_ = cast(grid_positions(g[0], g[1], g[2], options_.dim), x.dtype()).to(x.device());
  }
  return add(x, table_);
}

Tensor Dit::forward(const Tensor& images, const Tensor& times, const Tensor& given) {
  const DitOptions& o = options_;
  const int64_t frames = std::max<int64_t>(o.frames, 1);
  Shape wanted = images.shape();
  HEED_CHECK(images.rank() == (o.frames > 0 ? 5 : 4), "dit: wants {}, got {}",
             o.frames > 0 ? "clips [B, T, H, W, C]" : "images [B, H, W, C]", images);
  HEED_CHECK(images.numel() == images.size(0) * frames * o.height * o.width * o.channels &&
                 images.size(-1) == o.channels && images.size(-2) == o.width &&
                 images.size(-3) == o.height,
             "dit: wants {} frames of {} x {} x {}, got {}", frames, o.height, o.width, o.channels,
             images);
  HEED_CHECK(times.defined(), "dit: needs times [B]");
  HEED_CHECK(labels || !given.defined(), "dit: takes no labels (its `classes` is 0)");
  const int64_t batch = images.size(0);
  const Tensor clips =
      reshape(cast(images, compute_dtype()), {batch, frames, o.height, o.width, o.channels});
  Tensor x = patch_embed(reshape(window_partition(clips, patch_shape(o)), {batch, tokens(), -1}));
  x = positioned(x);

  Tensor c = time(times);
  if (labels) c = add(c, (*labels)(given.defined() ? given : labels->none(batch)));
  c = silu(c);
  const AttentionContext context{.positions = position_ids(0, tokens()), .grid = attended_grid()};
  const bool again = o.checkpointing && recording();
  for (const auto& block : blocks) {
    const auto run = [&block, context](const std::vector<Tensor>& in) {
      return block->forward(in[0], in[1], context);
    };
    x = again ? checkpoint(run, {x, c}) : run({x, c});
  }

  const std::vector<Tensor> m = modulation_parts(modulation, c, 2);
  const Tensor patches = head(modulated(norm, x, m[0], m[1]));
  const Tensor put_back =
      window_reverse(reshape(patches, {batch, tokens(), patch_pixels(o), outputs(o)}),
                     patch_shape(o), {frames, o.height, o.width});
  wanted[images.rank() - 1] = outputs(o);
  return reshape(put_back, wanted);
}

double Dit::flops() const {
  double total = 2.0 * static_cast<double>(tokens()) *
                 static_cast<double>(patch_embed.weight.numel() + head.weight.numel());
  total += 2.0 * static_cast<double>(modulation.weight.numel() + time.fc1.weight.numel() +
                                     time.fc2.weight.numel());
  for (const auto& block : blocks) total += block->flops(tokens());
  return total;
}

}  // namespace heed::nn
