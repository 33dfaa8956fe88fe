#include "nn/layers/pool.h"

namespace heed::nn {
namespace {

// The fields that both windows have.
template <class O>
void window_fields(Options& o, O& window) {
  o.field("kernel", window.kernel, "extent: one number, or one for each spatial dimension",
          {.min = 1});
  o.field("stride", window.stride, "steps between outputs, likewise; empty: the kernel's extent",
          {.min = 1});
  o.field("padding", window.padding, "margin on both sides, likewise; at most half of the kernel",
          {.min = 0});
  o.field("ceil", window.ceil,
          "round the result's extent up, with windows that reach over the end");
}

}  // namespace

void MaxPoolOptions::options(Options& o) {
  window_fields(o, *this);
  o.field("dilation", dilation, "distance between a window's pixels, likewise", {.min = 1});
}

void AvgPoolOptions::options(Options& o) {
  window_fields(o, *this);
  o.field("count_include_pad", count_include_pad, "padding counts as zeros in the mean");
}

void AdaptiveAvgPoolOptions::options(Options& o) {
  o.field("out", out, "bins: one number, or one for each spatial dimension; [1] is the global mean",
          {.min = 1});
}

MaxPool::MaxPool(const MaxPoolOptions& o)
    : window{.kernel = o.kernel,
             .stride = o.stride,
             .padding = o.padding,
             .dilation = o.dilation,
             .ceil = o.ceil} {}

Tensor MaxPool::forward(const Tensor& x) { return max_pool(x, window); }

AvgPool::AvgPool(const AvgPoolOptions& o)
    : window{.kernel = o.kernel,
             .stride = o.stride,
             .padding = o.padding,
             .ceil = o.ceil,
             .count_include_pad = o.count_include_pad} {}

Tensor AvgPool::forward(const Tensor& x) { return avg_pool(x, window); }

AdaptiveAvgPool::AdaptiveAvgPool(const AdaptiveAvgPoolOptions& o) : out(o.out) {}

Tensor AdaptiveAvgPool::forward(const Tensor& x) { return adaptive_avg_pool(x, out); }

}  // namespace heed::nn
