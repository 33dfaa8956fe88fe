#include "nn/layers/batch_norm.h"

#include "autograd/checkpoint.h"
#include "autograd/ops/elementwise.h"
#include "nn/init.h"

namespace heed::nn {

void BatchNormOptions::options(Options& o) {
  o.field("dim", dim, "channels", {.min = 1, .required = true});
  o.field("eps", eps, "added to the variance", {.above = 0});
  o.field("momentum", momentum, "share of a new batch in the running statistics",
          {.min = 0, .max = 1});
  o.field("affine", affine, "learned scale and shift");
}

BatchNorm::BatchNorm(const BatchNormOptions& o, Init weight_init)
    : running_mean(Tensor::zeros({o.dim})),
      running_var(Tensor::full({o.dim}, 1.0)),
      eps(o.eps),
      momentum(o.momentum) {
  if (o.affine) {
    weight = Tensor::empty({o.dim});
    bias = Tensor::empty({o.dim});
    parameters({{"weight", weight, weight_init ? std::move(weight_init) : init::ones()},
                {"bias", bias, init::zeros()}});
  }
  buffers({{"running_mean", running_mean}, {"running_var", running_var}});
}

Tensor BatchNorm::forward(const Tensor& x) {
  if (!training()) return batch_norm_with(x, running_mean, running_var, weight, bias, eps);
  const BatchNormResult result = batch_norm(x, weight, bias, eps, sum_over_ranks);
  if (!recomputing()) {
    update_running(running_mean, result.mean, momentum);
    update_running(running_var, result.var, momentum);
  }
  return result.out;
}

std::pair<Tensor, Tensor> BatchNorm::forward_add(const Tensor& residual, const Tensor& x) {
  const Tensor total = add(residual, x);
  return {total, forward(total)};
}

}  // namespace heed::nn
