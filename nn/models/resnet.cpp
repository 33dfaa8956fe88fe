#include "nn/models/resnet.h"

#include <map>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/pool.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "nn/defaults.h"
#include "nn/init.h"
#include "nn/models/presets.h"

namespace heed::nn {
namespace {

constexpr int64_t kExpansion = 4;  // of a bottleneck's last convolution

ResNetOptions imagenet(std::vector<int64_t> blocks, bool bottleneck) {
  ResNetOptions o;
  o.height = o.width = 224;
  o.classes = 1000;
  o.blocks = std::move(blocks);
  o.widths = {64, 128, 256, 512};
  o.bottleneck = bottleneck;
  o.stem = "imagenet";
  return o;
}

ResNetOptions cifar(int64_t depth) {
  ResNetOptions o;
  o.height = o.width = 32;
  o.classes = 10;
  o.blocks = std::vector<int64_t>(3, (depth - 2) / 6);
  o.shortcut = "pad";
  return o;
}

const std::map<std::string, ResNetOptions>& presets() {
  static const std::map<std::string, ResNetOptions> all = {
      {"resnet18", imagenet({2, 2, 2, 2}, false)},
      {"resnet20", cifar(20)},
      {"resnet34", imagenet({3, 4, 6, 3}, false)},
      {"resnet50", imagenet({3, 4, 6, 3}, true)},
      {"resnet56", cifar(56)},
  };
  return all;
}

const ResNetOptions& checked(const ResNetOptions& o) {
  if (o.classes <= 0) {
    fail_request("model resnet: `classes` is not given (a recipe takes it from its data)");
  }
  return o;
}

ConvLayerOptions stem_conv(const ResNetOptions& o) {
  const bool large = o.stem == "imagenet";
  return same_conv(o.channels, o.widths[0], large ? 7 : 3, large ? 2 : 1);
}

int64_t expansion(const ResNetOptions& o) { return o.bottleneck ? kExpansion : 1; }

BatchNormOptions norm_of(const ResNetOptions& o, int64_t dim) {
  return {.dim = dim, .momentum = o.momentum};
}

// The norm that ends a branch: at 0, every block starts as its shortcut.
Init last_norm(const ResNetOptions& o) { return o.zero_init ? init::zeros() : init::ones(); }

// Every stride-th pixel, with channels of zeros behind: no parameters (option A of section 4.2).
Tensor thinned_and_padded(const Tensor& x, int64_t stride, int64_t channels) {
  const Tensor thin = slice(slice(x, 1, 0, x.size(1), stride), 2, 0, x.size(2), stride);
  if (channels == x.size(3)) return thin;
  Shape missing = thin.shape();
  missing[3] = channels - x.size(3);
  return concat({thin, Tensor::zeros(missing, x.dtype(), x.device())}, 3);
}

}  // namespace

void ResNetOptions::options(Options& o) {
  o.field("preset", preset, "a published model's configuration, which the other keys change",
          {.one_of = resnet_presets()});
  o.field("height", height, "rows of an image; 0 takes the data's", {.min = 0});
  o.field("width", width, "columns of an image; 0 takes the data's", {.min = 0});
  o.field("channels", channels, "channels of an image", {.min = 1});
  o.field("classes", classes, "outputs; 0 takes the data's", {.min = 0});
  o.field("blocks", blocks, "blocks of each stage; a stage after the first halves the image",
          {.min = 1});
  o.field("widths", widths, "channels of each stage (a quarter of them for bottlenecks)",
          {.min = 1});
  o.field("bottleneck", bottleneck, "blocks of three convolutions, the middle one narrow");
  o.field("stem", stem, "first layer: 3x3 (cifar), or 7x7 and max-pooling, each of stride 2",
          {.one_of = {"cifar", "imagenet"}});
  o.field("shortcut", shortcut,
          "where a block changes the shape: a 1x1 convolution, or thinning and zeros",
          {.one_of = {"projection", "pad"}});
  o.field("zero_init", zero_init, "the last norm of a branch starts at 0 (arXiv 1706.02677)");
  o.field("momentum", momentum, "share of a new batch in the norms' running statistics",
          {.min = 0, .max = 1});
  o.check(!blocks.empty() && blocks.size() == widths.size(), "blocks",
          fmt::format("{} stages of blocks, but {} widths", blocks.size(), widths.size()));
  for (size_t i = 1; i < widths.size(); ++i) {
    o.check(shortcut != "pad" || widths[i] >= widths[i - 1], "widths",
            "the shortcut 'pad' needs widths that do not shrink");
  }
  o.check(shortcut != "pad" || !bottleneck, "shortcut",
          "the shortcut 'pad' is for blocks without a bottleneck");
}

std::vector<std::string> resnet_presets() { return preset_names(presets()); }

ResNetOptions read_resnet_options(const Config& config) {
  return read_with_preset(config, "model resnet", presets());
}

ResNetBlock::ResNetBlock(const ResNetOptions& o, int64_t in, int64_t width, int64_t stride)
    : conv1(o.bottleneck ? same_conv(in, width, 1) : same_conv(in, width, 3, stride),
            init::kaiming_normal()),
      conv2(same_conv(width, width, 3, o.bottleneck ? stride : 1), init::kaiming_normal()),
      norm1(norm_of(o, width)),
      norm2(norm_of(o, width), o.bottleneck ? init::ones() : last_norm(o)),
      stride_(stride) {
  children({{"conv1", conv1}, {"norm1", norm1}, {"conv2", conv2}, {"norm2", norm2}});
  const int64_t out = width * expansion(o);
  if (o.bottleneck) {
    conv3 = std::make_unique<Conv>(same_conv(width, out, 1), init::kaiming_normal());
    norm3 = std::make_unique<BatchNorm>(norm_of(o, out), last_norm(o));
    children({{"conv3", *conv3}, {"norm3", *norm3}});
  }
  if ((stride != 1 || in != out) && o.shortcut == "projection") {
    shortcut = std::make_unique<Conv>(same_conv(in, out, 1, stride), init::kaiming_normal());
    shortcut_norm = std::make_unique<BatchNorm>(norm_of(o, out));
    children({{"shortcut", *shortcut}, {"shortcut_norm", *shortcut_norm}});
  }
}

Tensor ResNetBlock::forward(const Tensor& x) {
  Tensor y = norm2(conv2(relu(norm1(conv1(x)))));
  if (conv3) y = (*norm3)((*conv3)(relu(y)));
  if (shortcut) return relu(add((*shortcut_norm)((*shortcut)(x)), y));
  const bool same = stride_ == 1 && x.size(3) == y.size(3);
  return relu(add(same ? x : thinned_and_padded(x, stride_, y.size(3)), y));
}

double ResNetBlock::flops(int64_t& height, int64_t& width) const {
  int64_t short_height = height, short_width = width;
  double total = conv1.flops(height, width);
  total += conv2.flops(height, width);
  if (conv3) total += conv3->flops(height, width);
  if (shortcut) total += shortcut->flops(short_height, short_width);
  return total;
}

ResNet::ResNet(const ResNetOptions& o)
    : stem(stem_conv(checked(o)), init::kaiming_normal()),
      stem_norm(norm_of(o, o.widths[0])),
      head(o.widths.back() * expansion(o), o.classes),
      options_(o) {
  int64_t in = o.widths[0];
  for (size_t stage = 0; stage < o.blocks.size(); ++stage) {
    ModuleList<ResNetBlock>& list = stages.emplace();
    for (int64_t i = 0; i < o.blocks[stage]; ++i) {
      list.emplace(o, in, o.widths[stage], stage > 0 && i == 0 ? 2 : 1);
      in = o.widths[stage] * expansion(o);
    }
  }
  children({{"stem", stem}, {"stem_norm", stem_norm}, {"stages", stages}, {"head", head}});
}

ClassifierInput ResNet::input() const {
  return ClassifierInput::images(options_.height, options_.width, options_.channels);
}

Config ResNet::config() const {
  return with_defaults(Config(Config::Map{{"type", "resnet"}}), options_);
}

Tensor ResNet::features(const Tensor& images) {
  HEED_CHECK(images.rank() == 4 && images.size(3) == options_.channels,
             "resnet: wants images [B, H, W, {}], got {}", options_.channels, images);
  Tensor x = relu(stem_norm(stem(cast(images, compute_dtype()))));
  if (options_.stem == "imagenet") {
    x = max_pool(x, {.kernel = {3}, .stride = {2}, .padding = {1}});
  }
  for (const auto& stage : stages) {
    for (const auto& block : *stage) x = block->forward(x);
  }
  return x;
}

Tensor ResNet::forward(const Tensor& images, const Tensor& lengths) {
  HEED_CHECK(!lengths.defined(), "resnet: images take no lengths");
  return head(mean(features(images), {1, 2}));
}

double ResNet::flops() const {
  int64_t height = options_.height, width = options_.width;
  HEED_CHECK(height > 0 && width > 0, "resnet: no image size to count operations for");
  double total = stem.flops(height, width);
  if (options_.stem == "imagenet") {
    height = (height - 1) / 2 + 1;
    width = (width - 1) / 2 + 1;
  }
  for (const auto& stage : stages) {
    for (const auto& block : *stage) total += block->flops(height, width);
  }
  return total + 2.0 * static_cast<double>(head.weight.numel());
}

}  // namespace heed::nn
