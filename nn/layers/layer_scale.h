// A learned factor for each channel of a residual branch, small at first (Touvron et al., arXiv
// 2103.17239, eq. 4).
#pragma once

#include "core/options.h"
#include "nn/module.h"

namespace heed::nn {

struct LayerScaleOptions {
  int64_t dim = 0;
  double initial = 1e-5;

  void options(Options& o);
};

struct LayerScale : Module {
  explicit LayerScale(const LayerScaleOptions& options);

  /// x [..., dim] -> x * scale.
  Tensor forward(const Tensor& x);
  Tensor operator()(const Tensor& x) { return forward(x); }

  Tensor scale;  // [dim]
};

}  // namespace heed::nn
