#include "nn/attention/large_kernel_attention.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "nn/init.h"

namespace heed::nn {
namespace {

int64_t far_taps(const LargeKernelOptions& o) { return (o.kernel + o.dilation - 1) / o.dilation; }

/// A depthwise convolution that keeps the size.
std::unique_ptr<Conv> depthwise(int64_t channels, int64_t axes, int64_t taps, int64_t dilation) {
  return std::make_unique<Conv>(ConvLayerOptions{.in = channels,
                                                 .out = channels,
                                                 .spatial = axes,
                                                 .kernel = {taps},
                                                 .padding = {dilation * (taps - 1) / 2},
                                                 .dilation = {dilation},
                                                 .groups = channels},
                                init::kaiming_normal_out(channels));
}

}  // namespace

void LargeKernelOptions::options(Options& o) {
  o.field("kernel", kernel, "extent K of the convolution that the three stand for, along each axis",
          {.min = 1});
  o.field("dilation", dilation,
          "distance d between the taps of `far`, which has ceil(K / d) of them; `near` has 2 d - 1",
          {.min = 1});
  o.field("gate", gate,
          "how the surroundings a meet the input u: u a, u + a, a alone, or u sigmoid(a)",
          {.one_of = {"mul", "add", "none", "sigmoid_mul"}});
  o.field("near", near, "the depthwise convolution without gaps");
  o.field("far", far, "the dilated depthwise convolution");
  o.field("mix", mix, "the 1 x 1 convolution of channels");
  o.field("axes", axes, "of the tokens: 1 for sequences, 2 for maps, 3 for clips",
          {.min = 1, .max = 3});
  o.check(dilation < 1 || far_taps(*this) % 2 == 1, "kernel",
          fmt::format("ceil(kernel / dilation) must be odd, got {} of {} and {}", far_taps(*this),
                      kernel, dilation));
}

LargeKernelAttention::LargeKernelAttention(const AttentionHost& host, const LargeKernelOptions& o)
    : proj_in(host.dim, host.dim, true, host.init.in),
      proj_out(host.dim, host.dim, true, host.init.out),
      options_(o),
      dim_(host.dim) {
  if (host.causal) {
    fail_request("attention 'large_kernel' does not suit a causal model: it looks to both sides");
  }
  if (host.position != "none") {
    fail_request(
        "attention 'large_kernel': positions '{}' turn queries and keys, of which it has none",
        host.position);
  }
  if (host.dropout > 0.0) {
    fail_request("attention 'large_kernel': no probabilities that attention dropout could drop");
  }
  children({{"proj_in", proj_in}});
  if (o.near) {
    near = depthwise(dim_, o.axes, 2 * o.dilation - 1, 1);
    children({{"near", *near}});
  }
  if (o.far) {
    far = depthwise(dim_, o.axes, far_taps(o), o.dilation);
    children({{"far", *far}});
  }
  if (o.mix) {
    mix = std::make_unique<Linear>(dim_, dim_, true, host.init.in);
    children({{"mix", *mix}});
  }
  children({{"proj_out", proj_out}});
}

Tensor LargeKernelAttention::surroundings(const Tensor& u, const AttentionContext& context) {
  const int64_t batch = u.size(0), pixels = u.size(1) - context.globals, width = u.size(2);
  const Shape grid = context.grid.rank() > 0 ? context.grid : Shape{pixels};
  HEED_CHECK(grid.rank() == options_.axes && grid.numel() == pixels,
             "attention large_kernel: {} tokens on {}, for convolutions of {} axes: set `axes`",
             pixels, grid, options_.axes);
  Shape map{batch};
  for (const int64_t extent : grid) map.push_back(extent);
  map.push_back(width);
  Tensor a = reshape(context.globals > 0 ? slice(u, 1, context.globals, u.size(1)) : u, map);
  if (near) a = near->forward(a);
  if (far) a = far->forward(a);
  a = reshape(a, {batch, pixels, width});
  if (context.globals == 0) return a;
  return concat({expand(mean(a, {1}, true), {batch, context.globals, width}), a}, 1);
}

Tensor LargeKernelAttention::forward(const Tensor& x, const AttentionContext& context) {
  HEED_CHECK(x.rank() == 3 && x.size(2) == dim_, "attention large_kernel: wants [B, N, {}], got {}",
             dim_, x);
  HEED_CHECK(!context.lengths.defined() && !context.bias.defined() && context.cache == nullptr,
             "attention large_kernel: no lengths, biases or cache: it has no keys");
  const Tensor u = proj_in.forward(x, Activation::gelu);
  Tensor a = surroundings(u, context);
  if (mix) a = mix->forward(region_ ? region_->whole(a, dim_) : a);
  Tensor y = a;
  if (options_.gate == "mul") y = mul(u, a);
  if (options_.gate == "add") y = add(u, a);
  if (options_.gate == "sigmoid_mul") y = mul(u, sigmoid(a));
  y = proj_out(y);
  // Where ranks share tokens between regions, the result is this rank's.
  return add(y, y.size(1) == x.size(1) ? x : region_->own_tokens(x));
}

void LargeKernelAttention::split_heads(const TensorSplitPointer& split) {
  proj_in.split_columns(split);
  if (near) near->split_channels(*split);
  if (far) far->split_channels(*split);
  if (mix) mix->split_columns(split);
  proj_out.split_rows(split);
  region_ = split;
}

double LargeKernelAttention::flops(int64_t tokens) const {
  int64_t weights = proj_in.weight.numel() + proj_out.weight.numel();
  if (near) weights += near->weight.numel();
  if (far) weights += far->weight.numel();
  if (mix) weights += mix->weight.numel();
  return 2.0 * static_cast<double>(weights * tokens);
}

}  // namespace heed::nn
