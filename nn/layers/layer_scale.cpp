#include "nn/layers/layer_scale.h"

#include "autograd/ops/elementwise.h"
#include "nn/init.h"

namespace heed::nn {

void LayerScaleOptions::options(Options& o) {
  o.field("dim", dim, "features", {.min = 1, .required = true});
  o.field("initial", initial, "the factors' first value");
}

LayerScale::LayerScale(const LayerScaleOptions& options) : scale(Tensor::empty({options.dim})) {
  parameters({{"scale", scale, init::constant(options.initial)}});
}

Tensor LayerScale::forward(const Tensor& x) { return mul(x, cast(scale, x.dtype())); }

}  // namespace heed::nn
