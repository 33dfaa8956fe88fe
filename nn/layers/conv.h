// Convolution layers in one, two or three dimensions, channels last:
//   y[b, o, co] = bias[co] + sum over taps k, channels c of weight[co, k, c] x[b, o stride + k
//   dilation - padding, c]
#pragma once

#include <vector>

#include "autograd/ops/conv.h"
#include "core/options.h"
#include "nn/module.h"
#include "nn/tensor_split.h"

namespace heed::nn {

/// One number in a list stands for every spatial dimension.
struct ConvLayerOptions {
  int64_t in = 0;
  int64_t out = 0;
  int64_t spatial = 2;
  std::vector<int64_t> kernel = {3};
  std::vector<int64_t> stride = {1};
  std::vector<int64_t> padding = {0};
  std::vector<int64_t> dilation = {1};
  int64_t groups = 1;
  bool bias = true;

  void options(Options& o);
};

/// A square convolution that keeps the size at stride 1 (odd kernel): padding (kernel - 1) / 2.
ConvLayerOptions same_conv(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1,
                           int64_t groups = 1, bool bias = false);

struct Conv : Module {
  /// `weight_init` fills the weight, and the bias then starts at 0; without it both are uniform in
  /// +-1/sqrt(fan_in), as in PyTorch. groups == in is the depthwise form.
  explicit Conv(const ConvLayerOptions& options, Init weight_init = {});

  /// x [B, in..., C] -> [B, out..., Cout], out = (in + 2 padding - dilation (kernel - 1) - 1) /
  /// stride + 1.
  Tensor forward(const Tensor& x);
  Tensor operator()(const Tensor& x) { return forward(x); }

  /// The extent of the result along a spatial dimension.
  int64_t output_size(int64_t input_size, int dim = 0) const;
  /// Forward floating-point operations on one image (a multiply-add counts as two), whose size
  /// becomes the result's.
  double flops(int64_t& height, int64_t& width) const;

  /// Keeps this rank's part of a depthwise convolution's channels; x is that part, and so is the
  /// result.
  void split_channels(const TensorSplit& split);

  Tensor weight;  // [Cout, kernel..., C / groups]
  Tensor bias;    // [Cout], or undefined
  ConvOptions geometry;
};

struct ConvTransposeOptions : ConvLayerOptions {
  std::vector<int64_t> output_padding = {0};

  void options(Options& o);
};

/// The adjoint of a convolution ("deconvolution"), for upsampling.
struct ConvTranspose : Module {
  /// Starts like Conv, with the fan_in that PyTorch takes here: Cout / groups times the kernel.
  explicit ConvTranspose(const ConvTransposeOptions& options, Init weight_init = {});

  /// x [B, in..., C] -> [B, out..., Cout], out = (in - 1) stride - 2 padding + dilation (kernel -
  /// 1) + output_padding + 1.
  Tensor forward(const Tensor& x);
  Tensor operator()(const Tensor& x) { return forward(x); }

  Tensor weight;  // [C, kernel..., Cout / groups]
  Tensor bias;    // [Cout], or undefined
  ConvOptions geometry;
};

}  // namespace heed::nn
