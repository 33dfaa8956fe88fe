// Random choices within a model, and estimators of their gradients. Every draw is a function of the
// key (core/random.h), so that a recomputed forward pass draws the same. Draws without a gradient
// (categorical, permutations, subsets) are in kernels/random/sampling.h.
#pragma once

#include "autograd/tape.h"
#include "core/random.h"

namespace heed {

/// softmax((logits + g) / temperature) along the last dimension, g standard Gumbel noise (Jang et
/// al. 2017; Maddison et al. 2017). `hard` gives the one-hot row of its maximum with the gradient
/// of the soft one. temperature > 0.
Tensor gumbel_softmax(const Tensor& logits, double temperature, bool hard, const RandomKey& key);

/// The value of one tensor with the gradient of another (straight-through, Bengio et al. 2013):
/// forward `value`, backward the identity to `gradient`. Equal shapes; the result has value's
/// dtype.
Tensor straight_through(const Tensor& value, const Tensor& gradient);

/// Each sample (row of dimension 0) zeroed with probability p, the others times 1 / (1 - p)
/// (stochastic depth, Huang et al. 2016). Sample b depends on (key, b) alone. p in [0, 1).
Tensor drop_path(const Tensor& x, double p, const RandomKey& key);

}  // namespace heed
