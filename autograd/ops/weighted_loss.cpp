#include "autograd/ops/weighted_loss.h"

#include <numeric>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"

namespace heed {

Tensor weighted_cross_entropy(const Tensor& logits, const Tensor& targets,
                              const Tensor& class_weights, const CrossEntropyOptions& options) {
  const char* op = "weighted_cross_entropy";
  HEED_CHECK(options.smoothing == 0.0, "{}: label smoothing and class weights exclude each other",
             op);
  HEED_CHECK(class_weights.defined() && class_weights.shape() == Shape{logits.size(-1)},
             "{}: the weights are {}, needs one for each of {} classes", op,
             class_weights.defined() ? class_weights.to_string() : "undefined", logits.size(-1));
  HEED_CHECK(!needs_grad({class_weights}), "{}: weights have no gradient: stop_gradient them", op);
  CrossEntropyOptions each = options;
  each.reduction = Reduction::none;
  const Tensor losses = cross_entropy(logits, targets, each);  // checks the targets

  const std::vector<double> weights = class_weights.to_vector<double>();
  std::vector<double> factors;
  for (const int64_t target : targets.to_vector<int64_t>()) {
    factors.push_back(target == options.ignore_index ? 0.0 : weights[static_cast<size_t>(target)]);
    HEED_CHECK(factors.back() >= 0.0, "{}: the weight of class {} is {}", op, target,
               factors.back());
  }
  const Tensor own = Tensor::from(factors, targets.shape()).to(losses.device());
  const Tensor scaled = mul(losses, cast(own, losses.dtype()));
  if (options.reduction == Reduction::none) return scaled;
  const Tensor total = sum(scaled);
  if (options.reduction == Reduction::sum) return total;
  const double weight = std::accumulate(factors.begin(), factors.end(), 0.0);
  return mul(total, weight > 0.0 ? 1.0 / weight : 0.0);
}

Tensor dice_loss(const Tensor& p, const Tensor& target, double smooth, Reduction reduction) {
  HEED_CHECK(p.shape() == target.shape() && p.rank() >= 1,
             "dice_loss: p is {}, the target {}; needs the same [B, ...]", p, target);
  HEED_CHECK(smooth >= 0.0, "dice_loss: smooth is {}", smooth);
  const Shape flat{p.size(0), p.size(0) == 0 ? 0 : p.numel() / p.size(0)};
  const Tensor a = reshape(p, flat), b = reshape(target, flat);
  const Tensor overlap = add(mul(sum(mul(a, b), {1}), 2.0), smooth);
  const Tensor losses = add(neg(div(overlap, add(add(sum(a, {1}), sum(b, {1})), smooth))), 1.0);
  return reduction == Reduction::none  ? losses
         : reduction == Reduction::sum ? sum(losses)
                                       : mean(losses);
}

}  // namespace heed
