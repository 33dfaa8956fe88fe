#include "nn/layers/layer_norm.h"

#include "autograd/ops/norm.h"
#include "nn/init.h"

namespace heed::nn {

void LayerNormOptions::options(Options& o) {
  o.field("dim", dim, "features normalised together", {.min = 1, .required = true});
  o.field("eps", eps, "added to the variance", {.above = 0});
  o.field("bias", bias, "learned shift (with affine)");
  o.field("affine", affine, "learned scale and shift; without, the plain statistics");
}

LayerNorm::LayerNorm(const LayerNormOptions& options) : eps(options.eps) {
  if (!options.affine) return;
  weight = Tensor::empty({options.dim});
  parameters({{"weight", weight, init::ones()}});
  if (!options.bias) return;
  bias = Tensor::empty({options.dim});
  parameters({{"bias", bias, init::zeros()}});
}

Tensor LayerNorm::forward(const Tensor& x) { return layer_norm(x, weight, bias, eps); }

std::pair<Tensor, Tensor> LayerNorm::forward_add(const Tensor& residual, const Tensor& x) {
  return add_layer_norm(residual, x, weight, bias, eps);
}

}  // namespace heed::nn
