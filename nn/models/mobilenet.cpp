#include "nn/models/mobilenet.h"

#include <cmath>
#include <map>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "nn/defaults.h"
#include "nn/init.h"
#include "nn/models/presets.h"

namespace heed::nn {
namespace {

MobileNetOptions imagenet(const std::string& version, double multiplier) {
  MobileNetOptions o;
  o.version = version;
  o.multiplier = multiplier;
  o.height = o.width = 224;
  o.classes = 1000;
  return o;
}

// Images of 32 x 32: the first two halvings are left out.
MobileNetOptions cifar(const std::string& version) {
  MobileNetOptions o = imagenet(version, 1.0).resolved();
  o.height = o.width = 32;
  o.classes = 10;
  o.stem_stride = 1;
  o.strides[1] = 1;
  return o;
}

const std::map<std::string, MobileNetOptions>& presets() {
  static const std::map<std::string, MobileNetOptions> all = {
      {"mobilenet-v1", imagenet("v1", 1.0)},     {"mobilenet-v1-0.75", imagenet("v1", 0.75)},
      {"mobilenet-v1-0.5", imagenet("v1", 0.5)}, {"mobilenet-v1-0.25", imagenet("v1", 0.25)},
      {"mobilenet-v1-cifar", cifar("v1")},       {"mobilenet-v2", imagenet("v2", 1.0)},
      {"mobilenet-v2-1.4", imagenet("v2", 1.4)}, {"mobilenet-v2-0.5", imagenet("v2", 0.5)},
      {"mobilenet-v2-cifar", cifar("v2")},
  };
  return all;
}

// The nearest multiple of 8 that is not more than a tenth below.
int64_t scaled(int64_t width, double multiplier) {
  const double wanted = static_cast<double>(width) * multiplier;
  const auto rounded = std::max<int64_t>(8, static_cast<int64_t>(std::floor(wanted + 4.0)) / 8 * 8);
  return static_cast<double>(rounded) < 0.9 * wanted ? rounded + 8 : rounded;
}

int64_t first_width(const MobileNetOptions& o) { return scaled(o.stem_width, o.multiplier); }

// Features of the pooled map; v2's last layer never gets narrower.
int64_t pooled_width(const MobileNetOptions& o) {
  if (o.head_width > 0) return scaled(o.head_width, std::max(1.0, o.multiplier));
  return scaled(o.widths.back(), o.multiplier);
}

MobileNetOptions checked(const MobileNetOptions& o) {
  if (o.classes <= 0) {
    fail_request("model mobilenet: `classes` is not given (a recipe takes it from its data)");
  }
  return o.resolved();
}

}  // namespace

void MobileNetOptions::options(Options& o) {
  o.field("preset", preset, "a published model's configuration, which the other keys change",
          {.one_of = mobilenet_presets()});
  o.field("height", height, "rows of an image; 0 takes the data's", {.min = 0});
  o.field("width", width, "columns of an image; 0 takes the data's", {.min = 0});
  o.field("channels", channels, "channels of an image", {.min = 1});
  o.field("classes", classes, "outputs; 0 takes the data's", {.min = 0});
  o.field("version", version, "separable blocks (v1) or inverted residuals (v2)",
          {.one_of = {"v1", "v2"}});
  o.field("multiplier", multiplier, "factor on all widths, rounded to multiples of 8",
          {.above = 0});
  o.field("stem_width", stem_width, "channels of the first convolution", {.min = 1});
  o.field("stem_stride", stem_stride, "its stride", {.min = 1});
  o.field("widths", widths, "channels of each stage; empty takes the version's own", {.min = 1});
  o.field("blocks", blocks, "blocks of each stage, likewise", {.min = 1});
  o.field("strides", strides, "stride of each stage's first block, likewise", {.min = 1});
  o.field("expansions", expansions, "factor on the channels inside a block, likewise", {.min = 1});
  o.field("head_width", head_width, "channels before the pooling; 0 takes the version's own",
          {.min = 0});
  o.field("activation", activation, "nonlinearity; auto: relu in v1, relu6 in v2",
          {.one_of = {"auto", "relu", "relu6"}});
  o.field("dropout", dropout, "dropout of the pooled features", {.min = 0, .below = 1});
  o.field("momentum", momentum, "share of a new batch in the norms' running statistics",
          {.min = 0, .max = 1});
  const MobileNetOptions own = resolved();
  const size_t stages = own.widths.size();
  o.check(own.blocks.size() == stages && own.strides.size() == stages &&
              own.expansions.size() == stages,
          "widths",
          fmt::format("{} stages of widths, but {} of blocks, {} of strides, {} of expansions",
                      stages, own.blocks.size(), own.strides.size(), own.expansions.size()));
}

MobileNetOptions MobileNetOptions::resolved() const {
  MobileNetOptions o = *this;
  const bool first = o.version == "v1";
  const auto take = [](std::vector<int64_t>& values, std::vector<int64_t> own) {
    if (values.empty()) values = std::move(own);
  };
  if (first) {
    take(o.widths, {64, 128, 256, 512, 1024});
    take(o.blocks, {1, 2, 2, 6, 2});
    take(o.strides, {1, 2, 2, 2, 2});
    take(o.expansions, std::vector<int64_t>(o.widths.size(), 1));
  } else {
    take(o.widths, {16, 24, 32, 64, 96, 160, 320});
    take(o.blocks, {1, 2, 3, 4, 3, 3, 1});
    take(o.strides, {1, 2, 2, 2, 1, 2, 1});
    take(o.expansions, {1, 6, 6, 6, 6, 6, 6});
    if (o.head_width == 0) o.head_width = 1280;
  }
  if (o.activation == "auto") o.activation = first ? "relu" : "relu6";
  return o;
}

std::vector<std::string> mobilenet_presets() { return preset_names(presets()); }

MobileNetOptions read_mobilenet_options(const Config& config) {
  return read_with_preset(config, "model mobilenet", presets());
}

ConvUnit::ConvUnit(const ConvLayerOptions& o, double momentum, std::string activation)
    : conv(o, init::kaiming_normal()),
      norm({.dim = o.out, .momentum = momentum}),
      activation_(std::move(activation)) {
  children({{"conv", conv}, {"norm", norm}});
}

Tensor ConvUnit::forward(const Tensor& x) {
  const Tensor y = norm(conv(x));
  if (activation_ == "relu") return relu(y);
  return activation_ == "relu6" ? relu6(y) : y;
}

MobileNetBlock::MobileNetBlock(int64_t in, int64_t out, int64_t stride, int64_t expansion,
                               bool linear, const MobileNetOptions& o)
    : depthwise(same_conv(in * expansion, in * expansion, 3, stride, in * expansion), o.momentum,
                o.activation),
      project(same_conv(in * expansion, out, 1), o.momentum, linear ? "none" : o.activation),
      shortcut_(linear && stride == 1 && in == out) {
  if (expansion != 1) {
    expand = std::make_unique<ConvUnit>(same_conv(in, in * expansion, 1), o.momentum, o.activation);
    children({{"expand", *expand}});
  }
  children({{"depthwise", depthwise}, {"project", project}});
}

Tensor MobileNetBlock::forward(const Tensor& x) {
  const Tensor y = project.forward(depthwise.forward(expand ? expand->forward(x) : x));
  return shortcut_ ? add(x, y) : y;
}

double MobileNetBlock::flops(int64_t& height, int64_t& width) const {
  const double inner = expand ? expand->conv.flops(height, width) : 0.0;
  const double depth = depthwise.conv.flops(height, width);
  return inner + depth + project.conv.flops(height, width);
}

MobileNet::MobileNet(const MobileNetOptions& o)
    : stem(same_conv(o.channels, first_width(o), 3, o.stem_stride), o.momentum,
           o.resolved().activation),
      dropout(o.dropout),
      head(pooled_width(checked(o)), o.classes, true, init::normal(0.01)),
      options_(o),
      own_(checked(o)) {
  children({{"stem", stem}, {"blocks", blocks}});
  int64_t in = first_width(own_);
  for (size_t stage = 0; stage < own_.widths.size(); ++stage) {
    const int64_t out = scaled(own_.widths[stage], own_.multiplier);
    for (int64_t i = 0; i < own_.blocks[stage]; ++i) {
      blocks.emplace(in, out, i == 0 ? own_.strides[stage] : 1, own_.expansions[stage],
                     own_.version == "v2", own_);
      in = out;
    }
  }
  if (own_.head_width > 0) {
    last = std::make_unique<ConvUnit>(same_conv(in, pooled_width(own_), 1), o.momentum,
                                      own_.activation);
    children({{"last", *last}});
  }
  children({{"dropout", dropout}, {"head", head}});
}

ClassifierInput MobileNet::input() const {
  return ClassifierInput::images(options_.height, options_.width, options_.channels);
}

Config MobileNet::config() const {
  return with_defaults(Config(Config::Map{{"type", "mobilenet"}}), options_);
}

Tensor MobileNet::features(const Tensor& images) {
  HEED_CHECK(images.rank() == 4 && images.size(3) == options_.channels,
             "mobilenet: wants images [B, H, W, {}], got {}", options_.channels, images);
  Tensor x = stem.forward(cast(images, compute_dtype()));
  for (const auto& block : blocks) x = block->forward(x);
  return last ? last->forward(x) : x;
}

Tensor MobileNet::forward(const Tensor& images, const Tensor& lengths) {
  HEED_CHECK(!lengths.defined(), "mobilenet: images take no lengths");
  return head(dropout(mean(features(images), {1, 2})));
}

double MobileNet::flops() const {
  int64_t height = options_.height, width = options_.width;
  HEED_CHECK(height > 0 && width > 0, "mobilenet: no image size to count operations for");
  double total = stem.conv.flops(height, width);
  for (const auto& block : blocks) total += block->flops(height, width);
  if (last) total += last->conv.flops(height, width);
  return total + 2.0 * static_cast<double>(head.weight.numel());
}

}  // namespace heed::nn
