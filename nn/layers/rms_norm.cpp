#include "nn/layers/rms_norm.h"

#include "autograd/ops/norm.h"
#include "nn/init.h"

namespace heed::nn {

void RmsNormOptions::options(Options& o) {
  o.field("dim", dim, "features normalised together", {.min = 1, .required = true});
  o.field("eps", eps, "added to the mean square", {.above = 0});
  o.field("affine", affine, "learned scale");
}

RmsNorm::RmsNorm(const RmsNormOptions& options) : eps(options.eps) {
  if (!options.affine) return;
  weight = Tensor::empty({options.dim});
  parameters({{"weight", weight, init::ones()}});
}

Tensor RmsNorm::forward(const Tensor& x) { return rms_norm(x, weight, eps); }

std::pair<Tensor, Tensor> RmsNorm::forward_add(const Tensor& residual, const Tensor& x) {
  return add_rms_norm(residual, x, weight, eps);
}

}  // namespace heed::nn
