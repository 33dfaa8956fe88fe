#include "nn/models/edsr.h"

#include <map>

#include "autograd/ops/elementwise.h"
#include "nn/defaults.h"
#include "nn/models/presets.h"

namespace heed::nn {
namespace {

EdsrOptions published(int64_t blocks, int64_t dim, double residual_scale) {
  EdsrOptions o;
  o.channels = o.outputs = 3;
  o.blocks = blocks;
  o.dim = dim;
  o.residual_scale = residual_scale;
  return o;
}

const std::map<std::string, EdsrOptions>& presets() {
  static const std::map<std::string, EdsrOptions> all = {
      {"edsr", published(32, 256, 0.1)},
      {"edsr-baseline", published(16, 64, 1.0)},
  };
  return all;
}

ConvLayerOptions conv3(int64_t in, int64_t out) { return same_conv(in, out, 3, 1, 1, true); }

const EdsrOptions& checked(const EdsrOptions& o) {
  if (o.channels <= 0 || o.outputs <= 0 || o.scale <= 0) {
    fail_request(
        "model edsr: `channels`, `outputs` and `scale` are not given (a recipe takes them from its "
        "data)");
  }
  return o;
}

}  // namespace

std::vector<std::string> edsr_presets() { return preset_names(presets()); }

EdsrOptions read_edsr_options(const Config& config) {
  return read_with_preset(config, "model edsr", presets());
}

void EdsrOptions::options(Options& o) {
  o.field("preset", preset, "a published network to start from", {.one_of = edsr_presets()});
  o.field("height", height, "rows of an image; 0 takes the data's", {.min = 0});
  o.field("width", width, "columns of an image; 0 takes the data's", {.min = 0});
  o.field("channels", channels, "channels of an image; 0 takes the data's", {.min = 0});
  o.field("outputs", outputs, "channels of the result; 0 takes the task's", {.min = 0});
  o.field("scale", scale,
          "the result's sides over the image's: 1, 3 or a power of 2; 0 takes the data's",
          {.min = 0, .max = 64});
  o.field("blocks", blocks, "residual blocks", {.min = 1});
  o.field("dim", dim, "channels between the convolutions", {.min = 1});
  o.field("residual_scale", residual_scale, "what a block's branch is multiplied by", {.above = 0});
}

EdsrBlock::EdsrBlock(const EdsrOptions& o)
    : conv1(conv3(o.dim, o.dim)), conv2(conv3(o.dim, o.dim)), residual_scale_(o.residual_scale) {
  children({{"conv1", conv1}, {"conv2", conv2}});
}

Tensor EdsrBlock::forward(const Tensor& x) {
  const Tensor y = conv2(relu(conv1(x)));
  return add(x, residual_scale_ == 1.0 ? y : mul(y, residual_scale_));
}

Edsr::Edsr(const EdsrOptions& o)
    : stem(conv3(checked(o).channels, o.dim)),
      after(conv3(o.dim, o.dim)),
      upsampler({.dim = o.dim, .scale = o.scale}),
      head(conv3(o.dim, o.outputs)),
      options_(o) {
  for (int64_t i = 0; i < o.blocks; ++i) blocks.emplace(o);
  children({{"stem", stem}, {"blocks", blocks}, {"after", after}});
  children({{"upsampler", upsampler}, {"head", head}});
}

ImageGeometry Edsr::geometry() const {
  ImageGeometry g;
  g.height = options_.height;
  g.width = options_.width;
  g.channels = options_.channels;
  g.outputs = options_.outputs;
  g.scale = options_.scale;
  return g;
}

Config Edsr::config() const {
  return with_defaults(Config(Config::Map{{"type", "edsr"}}), options_);
}

Tensor Edsr::forward(const Tensor& image, const Tensor& times, const Tensor& labels) {
  HEED_CHECK(image.rank() == 4 && image.size(3) == options_.channels,
             "edsr: wants images [B, H, W, {}], got {}", options_.channels, image);
  HEED_CHECK(!times.defined() && !labels.defined(), "edsr: it takes neither times nor labels");
  const Tensor x0 = stem(image);
  Tensor x = x0;
  for (const auto& block : blocks) x = block->forward(x);
  return head(upsampler(add(x0, after(x))));
}

double Edsr::flops() const {
  int64_t height = options_.height, width = options_.width;
  double total = stem.flops(height, width) + after.flops(height, width);
  for (const auto& block : blocks) {
    total += block->conv1.flops(height, width) + block->conv2.flops(height, width);
  }
  total += upsampler.flops(height, width);
  return total + head.flops(height, width);
}

}  // namespace heed::nn
