// Losses for classes of unequal size.
#pragma once

#include "autograd/ops/loss.h"
#include "autograd/ops/reduction.h"

namespace heed {

/// cross_entropy with a weight for each class: the sum of w[target] (-log softmax(logits)[target])
/// over the counted targets, and for the mean that over the sum of their weights (PyTorch's
/// `weight`). class_weights [V], not negative, without a gradient; label smoothing is refused.
Tensor weighted_cross_entropy(const Tensor& logits, const Tensor& targets,
                              const Tensor& class_weights, const CrossEntropyOptions& options = {});

/// 1 - (2 sum p t + smooth) / (sum p + sum t + smooth) of probabilities p and targets t in [0, 1],
/// both [B, ...], sums over all but the batch: the overlap of regions (Dice 1945; as a loss
/// Milletari et al., arXiv 1606.04797, whose denominator squares). `smooth` makes empty regions
/// agree. Reduction over the batch.
Tensor dice_loss(const Tensor& p, const Tensor& target, double smooth = 1.0,
                 Reduction reduction = Reduction::mean);

}  // namespace heed
