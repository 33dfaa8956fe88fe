// Enlarges a feature map by convolutions and sub-pixel shuffles (Shi et al., arXiv 1609.05158), as
// the super-resolution networks since EDSR do:
//   scale 2^k   k times: conv3x3 to 4 dim channels, shuffled to twice the size
//   scale 3     conv3x3 to 9 dim channels, shuffled to three times the size
#pragma once

#include "core/options.h"
#include "nn/layers/conv.h"

namespace heed::nn {

struct UpsamplerOptions {
  int64_t dim = 0;
  int64_t scale = 2;

  void options(Options& o);
};

struct Upsampler : Module {
  explicit Upsampler(const UpsamplerOptions& options);

  /// x [B, H, W, dim] -> [B, H scale, W scale, dim].
  Tensor forward(const Tensor& x);
  Tensor operator()(const Tensor& x) { return forward(x); }
  /// Forward floating-point operations on one image, whose size becomes the result's.
  double flops(int64_t& height, int64_t& width) const;

  ModuleList<Conv> steps;  // none where scale is 1

 private:
  int64_t factor_;  // of each step
};

}  // namespace heed::nn
