#include "nn/losses/dice.h"

#include "autograd/ops/weighted_loss.h"

namespace heed::nn {

void DiceSettings::options(Options& o) {
  o.field("smooth", smooth, "added to both sides of the ratio: empty regions agree", {.min = 0});
  reduction_field(o, reduction, "samples");
}

Tensor DiceSettings::operator()(const Tensor& p, const Tensor& target) const {
  return dice_loss(p, target, smooth, reduction_named(reduction));
}

}  // namespace heed::nn
