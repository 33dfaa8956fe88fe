// Random tensors: element i (row-major) depends on (key, i) alone. Draws are made in f32 whatever
// the dtype (floating).
#pragma once

#include "core/random.h"
#include "core/tensor.h"

namespace heed::kernels {

/// Uniform in [low, high).
void fill_uniform(const Tensor& dst, double low, double high, const RandomKey& key);
/// Normal.
void fill_normal(const Tensor& dst, double mean, double std, const RandomKey& key);
/// Normal, cut at `cut` standard deviations on either side.
void fill_truncated_normal(const Tensor& dst, double mean, double std, double cut,
                           const RandomKey& key);
/// 1 with probability p, else 0.
void fill_bernoulli(const Tensor& dst, double p, const RandomKey& key);

}  // namespace heed::kernels
