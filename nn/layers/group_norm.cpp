#include "nn/layers/group_norm.h"

#include "autograd/ops/channel_norm.h"
#include "nn/init.h"

namespace heed::nn {

void GroupNormOptions::options(Options& o) {
  o.field("dim", dim, "channels", {.min = 1, .required = true});
  o.field("groups", groups, "groups of channels with their own statistics; 1: the whole sample",
          {.min = 1});
  o.field("eps", eps, "added to the variance", {.above = 0});
  o.field("affine", affine, "learned scale and shift of each channel");
  o.check(groups < 1 || dim % groups == 0, "groups",
          fmt::format("groups ({}) must divide dim ({})", groups, dim));
}

GroupNorm::GroupNorm(const GroupNormOptions& o) : groups(o.groups), eps(o.eps) {
  if (!o.affine) return;
  weight = Tensor::empty({o.dim});
  bias = Tensor::empty({o.dim});
  parameters({{"weight", weight, init::ones()}, {"bias", bias, init::zeros()}});
}

Tensor GroupNorm::forward(const Tensor& x) { return group_norm(x, groups, weight, bias, eps); }

void InstanceNormOptions::options(Options& o) {
  o.field("dim", dim, "channels", {.min = 1, .required = true});
  o.field("eps", eps, "added to the variance", {.above = 0});
  o.field("affine", affine, "learned scale and shift of each channel");
}

InstanceNorm::InstanceNorm(const InstanceNormOptions& o) : dim(o.dim), eps(o.eps) {
  if (!o.affine) return;
  weight = Tensor::empty({o.dim});
  bias = Tensor::empty({o.dim});
  parameters({{"weight", weight, init::ones()}, {"bias", bias, init::zeros()}});
}

Tensor InstanceNorm::forward(const Tensor& x) {
  HEED_CHECK(x.rank() >= 3 && x.size(-1) == dim, "instance_norm: wants [B, spatial..., {}], got {}",
             dim, x);
  return instance_norm(x, weight, bias, eps);
}

}  // namespace heed::nn
