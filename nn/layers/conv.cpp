#include "nn/layers/conv.h"

#include "nn/init.h"

namespace heed::nn {
namespace {

bool one_or_each(const std::vector<int64_t>& values, int64_t spatial) {
  return values.size() == 1 || static_cast<int64_t>(values.size()) == spatial;
}

// [outer, kernel..., inner]
Shape weight_shape(int64_t outer, const ConvLayerOptions& o, int64_t inner) {
  Shape shape{outer};
  for (int64_t i = 0; i < o.spatial; ++i) {
    shape.push_back(o.kernel[o.kernel.size() == 1 ? 0 : static_cast<size_t>(i)]);
  }
  shape.push_back(inner);
  return shape;
}

ConvOptions geometry_of(const ConvLayerOptions& o) {
  return {.stride = o.stride, .padding = o.padding, .dilation = o.dilation, .groups = o.groups};
}

const ConvLayerOptions& checked(const ConvLayerOptions& o, const char* what) {
  HEED_CHECK(o.in > 0 && o.out > 0 && o.groups > 0 && o.in % o.groups == 0 && o.out % o.groups == 0,
             "{}: groups ({}) must divide in ({}) and out ({})", what, o.groups, o.in, o.out);
  HEED_CHECK(o.spatial >= 1 && o.spatial <= 3 && one_or_each(o.kernel, o.spatial),
             "{}: a kernel of {} extents in {} spatial dimensions", what, o.kernel.size(),
             o.spatial);
  return o;
}

void check_input(const Tensor& x, const Tensor& weight, int64_t in, const char* what) {
  HEED_CHECK(x.rank() == weight.rank() && x.size(-1) == in,
             "{}: wants [B, {} spatial dimensions, {}], got {}", what, weight.rank() - 2, in, x);
}

}  // namespace

void ConvLayerOptions::options(Options& o) {
  o.field("in", in, "channels of the input", {.min = 1, .required = true});
  o.field("out", out, "channels of the output", {.min = 1, .required = true});
  o.field("spatial", spatial, "spatial dimensions", {.min = 1, .max = 3});
  o.field("kernel", kernel, "taps: one number, or one for each spatial dimension", {.min = 1});
  o.field("stride", stride, "steps between outputs, likewise", {.min = 1});
  o.field("padding", padding, "zeros on both sides, likewise", {.min = 0});
  o.field("dilation", dilation, "distance between taps, likewise", {.min = 1});
  o.field("groups", groups, "channel groups that do not mix; equal to `in`: depthwise", {.min = 1});
  o.field("bias", bias, "add a learned bias");
  o.check(groups > 0 && in % groups == 0 && out % groups == 0, "groups",
          fmt::format("groups ({}) must divide in ({}) and out ({})", groups, in, out));
  for (const auto& [name, values] : {std::pair{"kernel", kernel},
                                     {"stride", stride},
                                     {"padding", padding},
                                     {"dilation", dilation}}) {
    o.check(
        one_or_each(values, spatial), name,
        fmt::format("{} has {} numbers for {} spatial dimensions", name, values.size(), spatial));
  }
}

ConvLayerOptions same_conv(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups,
                           bool bias) {
  HEED_CHECK(kernel % 2 == 1, "conv: only an odd kernel keeps the size, got {}", kernel);
  return {.in = in,
          .out = out,
          .kernel = {kernel},
          .stride = {stride},
          .padding = {(kernel - 1) / 2},
          .groups = groups,
          .bias = bias};
}

Conv::Conv(const ConvLayerOptions& o, Init weight_init)
    : weight(Tensor::empty(weight_shape(checked(o, "conv").out, o, o.in / o.groups))),
      geometry(geometry_of(o)) {
  const bool given = static_cast<bool>(weight_init);
  const int64_t fan_in = weight.numel() / o.out;
  parameters({{"weight", weight, given ? std::move(weight_init) : init::linear_default(fan_in)}});
  if (!o.bias) return;
  bias = Tensor::empty({o.out});
  parameters({{"bias", bias, given ? init::zeros() : init::linear_default(fan_in)}});
}

Tensor Conv::forward(const Tensor& x) {
  check_input(x, weight, weight.size(-1) * geometry.groups, "conv");
  return conv(x, weight, bias, geometry);
}

int64_t Conv::output_size(int64_t input_size, int dim) const {
  const auto at = [dim](const Shape& values) { return values[values.rank() == 1 ? 0 : dim]; };
  return (input_size + 2 * at(geometry.padding) -
          at(geometry.dilation) * (weight.size(1 + dim) - 1) - 1) /
             at(geometry.stride) +
         1;
}

double Conv::flops(int64_t& height, int64_t& width) const {
  height = output_size(height, 0);
  width = output_size(width, 1);
  return 2.0 * static_cast<double>(weight.numel()) * static_cast<double>(height * width);
}

void Conv::split_channels(const TensorSplit& split) {
  const int64_t channels = weight.size(0);
  HEED_CHECK(
      weight.size(-1) == 1 && geometry.groups == channels,
      "conv: ranks share the channels of a depthwise convolution alone, not of {} in {} groups",
      weight, geometry.groups);
  const Shard shard = split.shard(0, {channels});
  keep_shard(weight, shard);
  if (bias.defined()) keep_shard(bias, shard);
  geometry.groups = weight.size(0);
}

void ConvTransposeOptions::options(Options& o) {
  ConvLayerOptions::options(o);
  o.field("output_padding", output_padding,
          "rows added at the far side of the result: which of the sizes that the forward "
          "convolution maps to this one",
          {.min = 0});
  o.check(one_or_each(output_padding, spatial), "output_padding",
          fmt::format("output_padding has {} numbers for {} spatial dimensions",
                      output_padding.size(), spatial));
}

ConvTranspose::ConvTranspose(const ConvTransposeOptions& o, Init weight_init)
    : weight(Tensor::empty(weight_shape(checked(o, "conv_transpose").in, o, o.out / o.groups))),
      geometry(geometry_of(o)) {
  geometry.output_padding = o.output_padding;
  const bool given = static_cast<bool>(weight_init);
  const int64_t fan_in = weight.numel() / o.in;
  parameters({{"weight", weight, given ? std::move(weight_init) : init::linear_default(fan_in)}});
  if (!o.bias) return;
  bias = Tensor::empty({o.out});
  parameters({{"bias", bias, given ? init::zeros() : init::linear_default(fan_in)}});
}

Tensor ConvTranspose::forward(const Tensor& x) {
  check_input(x, weight, weight.size(0), "conv_transpose");
  return conv_transpose(x, weight, bias, geometry);
}

}  // namespace heed::nn
