#include "nn/losses/pointwise.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/pointwise_loss.h"

namespace heed::nn {
namespace {

Tensor constant_of(const Tensor& x) { return x.defined() ? stop_gradient(x) : x; }

}  // namespace

void PointwiseSettings::options(Options& o) { reduction_field(o, reduction, "elements"); }

Tensor MseSettings::operator()(const Tensor& x, const Tensor& target) const {
  return mse_loss(x, target, reduction_named(reduction));
}

Tensor L1Settings::operator()(const Tensor& x, const Tensor& target) const {
  return l1_loss(x, target, reduction_named(reduction));
}

void HuberSettings::options(Options& o) {
  o.field("delta", delta, "distance from which on the loss is linear", {.above = 0});
  reduction_field(o, reduction, "elements");
}

Tensor HuberSettings::operator()(const Tensor& x, const Tensor& target) const {
  return huber_loss(x, target, delta, reduction_named(reduction));
}

void SmoothL1Settings::options(Options& o) {
  o.field("beta", beta, "distance from which on the loss is linear; 0 is the l1 loss", {.min = 0});
  reduction_field(o, reduction, "elements");
}

Tensor SmoothL1Settings::operator()(const Tensor& x, const Tensor& target) const {
  return smooth_l1_loss(x, target, beta, reduction_named(reduction));
}

Tensor BceSettings::operator()(const Tensor& x, const Tensor& target, const Tensor& weight) const {
  return binary_cross_entropy(
      x, target, {.weight = constant_of(weight), .reduction = reduction_named(reduction)});
}

Tensor BceWithLogitsSettings::operator()(const Tensor& x, const Tensor& target,
                                         const Tensor& weight, const Tensor& pos_weight) const {
  return bce_with_logits(x, target,
                         {.weight = constant_of(weight),
                          .pos_weight = constant_of(pos_weight),
                          .reduction = reduction_named(reduction)});
}

void KlDivSettings::options(Options& o) {
  o.field("log_target", log_target, "the target is a logarithm too");
  o.field("reduction", reduction,
          "one number of all elements, or each one's loss (none); batchmean divides the sum by the "
          "first dimension: the mean divergence of a row",
          {.one_of = {"mean", "sum", "none", "batchmean"}});
}

Tensor KlDivSettings::operator()(const Tensor& x, const Tensor& target) const {
  if (reduction != "batchmean") return kl_div(x, target, log_target, reduction_named(reduction));
  HEED_CHECK(x.rank() >= 1 && x.size(0) > 0, "kl_div: batchmean of {}", x);
  return mul(kl_div(x, target, log_target, Reduction::sum), 1.0 / static_cast<double>(x.size(0)));
}

}  // namespace heed::nn
