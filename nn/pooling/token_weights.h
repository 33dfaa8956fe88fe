// Tokens weighed by a softmax over the sequence, and summed: what poolings by attention share.
#pragma once

#include "autograd/tape.h"

namespace heed::nn {

/// Softmax over the tokens: scores [B, N, heads] -> [B, heads, N]; tokens past a row's length
/// (lengths [B] i64, or undefined) have the weight 0. In a row of length 0 all count alike.
Tensor token_weights(const Tensor& scores, const Tensor& lengths);

/// The sums of x [B, N, C] by weights [B, heads, N], head after head: [B, heads C].
Tensor weighted_sums(const Tensor& weights, const Tensor& x);

}  // namespace heed::nn
