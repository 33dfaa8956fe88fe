// The dice loss, of regions in images, as a module.
#pragma once

#include "nn/losses/loss.h"

namespace heed::nn {

struct DiceSettings {
  double smooth = 1.0;
  std::string reduction = "mean";

  void options(Options& o);
  /// Probabilities p and targets, both [B, ...], in [0, 1].
  Tensor operator()(const Tensor& p, const Tensor& target) const;
};

using Dice = Loss<DiceSettings>;

}  // namespace heed::nn
