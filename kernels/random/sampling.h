// Discrete draws, each a pure function of the key: the same on any number of threads and ranks.
#pragma once

#include "core/random.h"
#include "core/tensor.h"

namespace heed::kernels {

/// Standard Gumbel noise -log(-log u), element i from word i of the key's stream; u is one of the
/// 2^23 midpoints (k + 1/2) 2^-23, so that the noise is finite, within (-2.82, 16.64). f32.
Tensor gumbel_noise(const Shape& shape, const RandomKey& key);

/// Draws from softmax(logits / temperature) along the last dimension by the Gumbel-max trick: the
/// largest of logits / temperature + noise (Gumbel 1954; Maddison et al. 2014). logits [..., V] ->
/// i64 [...]. A class of logit -infinity is never drawn. Temperature 0 takes the largest logit.
Tensor categorical(const Tensor& logits, const RandomKey& key, double temperature = 1.0);

/// k different classes of each row, in the order drawn one after another without putting back
/// (Gumbel top-k, Kool et al. 2019): i64 [..., k]. k may not exceed the classes of finite logit.
Tensor categorical_without_replacement(const Tensor& logits, int64_t k, const RandomKey& key);

/// A uniformly random order of 0 ... n - 1 (Fisher-Yates): i64 [n].
Tensor random_permutation(int64_t n, const RandomKey& key);

/// k different numbers of 0 ... n - 1 in random order: the permutation's first k. i64 [k].
Tensor random_subset(int64_t n, int64_t k, const RandomKey& key);

}  // namespace heed::kernels
