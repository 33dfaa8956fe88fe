#include "nn/layers/conv_tokenizer.h"

#include <algorithm>
#include <tuple>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/pool.h"
#include "autograd/ops/view.h"
#include "nn/init.h"

namespace heed::nn {
namespace {

constexpr int64_t kPoolStride = 2, kPoolPadding = 1;

// Extents behind a convolution and behind a pool, of resolved options.
int64_t convolved(const ConvTokenizerOptions& o, int64_t size) {
  return (size + 2 * o.padding - o.kernel) / o.stride + 1;
}
int64_t pooled(const ConvTokenizerOptions& o, int64_t size) {
  return o.pool == 0 ? size : (size + 2 * kPoolPadding - o.pool) / kPoolStride + 1;
}

/// Outputs that see an item from begin to end - 1, of `size` outputs of a kernel that moves by
/// `stride` behind `padding`.
std::pair<int64_t, int64_t> window_outputs(int64_t begin, int64_t end, int64_t size, int64_t kernel,
                                           int64_t stride, int64_t padding) {
  const int64_t first = std::max<int64_t>(0, begin + padding - kernel + stride) / stride;
  const int64_t last = std::min(size, (end - 1 + padding) / stride + 1);
  return {std::min(first, last), last};
}

}  // namespace

void ConvTokenizerOptions::options(Options& o) {
  o.field("channels", channels, "of the image, or features of an item", {.min = 1});
  o.field("dim", dim, "features of a token", {.min = 1, .required = true});
  o.field("spatial", spatial, "2 for images, 1 for sequences", {.min = 1, .max = 2});
  o.field("kernel", kernel, "taps of the convolutions along each axis", {.min = 1});
  o.field("stride", stride, "their steps; 0: the paper's max(1, kernel / 2 - 1)", {.min = 0});
  o.field("padding", padding, "zeros on both sides; -1: the paper's max(1, kernel / 2)",
          {.min = -1});
  o.field("convs", convs, "convolutions, each with its pool", {.min = 1});
  o.field("width", width, "channels of all but the last", {.min = 1});
  o.field("pool", pool, "extent of the max-pools; 0: neither pools nor activations", {.min = 0});
  o.check(pool == 0 || pool >= 2 * kPoolPadding, "pool", "a pool with padding 1 needs 2 or more");
}

ConvTokenizerOptions ConvTokenizerOptions::resolved() const {
  ConvTokenizerOptions o = *this;
  if (o.stride == 0) o.stride = std::max<int64_t>(1, o.kernel / 2 - 1);
  if (o.padding < 0) o.padding = std::max<int64_t>(1, o.kernel / 2);
  return o;
}

Shape ConvTokenizerOptions::grid(const Shape& input) const {
  const ConvTokenizerOptions o = resolved();
  Shape extents = input;
  for (int64_t i = 0; i < o.convs; ++i) {
    for (int a = 0; a < extents.rank(); ++a) extents[a] = pooled(o, convolved(o, extents[a]));
  }
  return extents;
}

ConvTokenizer::ConvTokenizer(const ConvTokenizerOptions& given) : options_(given.resolved()) {
  const ConvTokenizerOptions& o = options_;
  for (int64_t i = 0; i < o.convs; ++i) {
    convs.emplace(ConvLayerOptions{.in = i == 0 ? o.channels : o.width,
                                   .out = i + 1 == o.convs ? o.dim : o.width,
                                   .spatial = o.spatial,
                                   .kernel = {o.kernel},
                                   .stride = {o.stride},
                                   .padding = {o.padding},
                                   .bias = false},
                  init::kaiming_normal());
  }
  children({{"convs", convs}});
}

Tensor ConvTokenizer::forward(const Tensor& in) {
  Tensor x = in;
  for (const auto& conv : convs) {
    x = conv->forward(x);
    if (options_.pool == 0) continue;
    x = max_pool(relu(x),
                 {.kernel = {options_.pool}, .stride = {kPoolStride}, .padding = {kPoolPadding}});
  }
  return reshape(x, {x.size(0), -1, x.size(-1)});
}

std::pair<int64_t, int64_t> ConvTokenizer::seeing(int64_t begin, int64_t end, int64_t size) const {
  const ConvTokenizerOptions& o = options_;
  for (int64_t i = 0; i < o.convs && begin < end; ++i) {
    size = convolved(o, size);
    std::tie(begin, end) = window_outputs(begin, end, size, o.kernel, o.stride, o.padding);
    if (o.pool == 0 || begin >= end) continue;
    size = pooled(o, size);
    std::tie(begin, end) = window_outputs(begin, end, size, o.pool, kPoolStride, kPoolPadding);
  }
  return {begin, std::max(begin, end)};
}

double ConvTokenizer::flops(const Shape& spatial) const {
  double total = 0.0;
  Shape extents = spatial;
  for (const auto& conv : convs) {
    for (int a = 0; a < extents.rank(); ++a) extents[a] = convolved(options_, extents[a]);
    total += 2.0 * static_cast<double>(conv->weight.numel() * extents.numel());
    for (int a = 0; a < extents.rank(); ++a) extents[a] = pooled(options_, extents[a]);
  }
  return total;
}

}  // namespace heed::nn
