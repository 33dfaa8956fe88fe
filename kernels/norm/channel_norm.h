// Normalisation by statistics of channels, channels last: batch, group and instance norm are one
// kernel. x is [B, S, C]: B samples that have statistics of their own, S positions, C channels.
//   batch norm     [1, B S, C], C groups
//   instance norm  [B, S, C], C groups
//   group norm     [B, S, C], G groups of C / G channels
// Statistics are f32 (f64 for f64) whatever x is, and lie on the CPU wherever x does: a device is
// waited for.
#pragma once

#include <functional>
#include <span>

#include "core/tensor.h"
#include "kernels/norm/norm.h"

namespace heed::kernels {

struct ChannelMoments {
  Tensor mean, var;  ///< [B, C] of the accumulation dtype, equal within a group; var is biased
};

/// Moments over S and the channels of each group. One pass over memory: pieces that fit the cache
/// are centred on their own mean and merged in order (Chan, Golub & LeVeque 1983), so that large
/// offsets do not drown the variance. Throws unless x is f32, bf16 or f64 [B, S, C] with B, S, C
/// > 0 and `groups` divides C.
ChannelMoments channel_moments(const Tensor& x, int64_t groups, const char* op);

/// 1 / sqrt(var + eps)
Tensor inverse_std(const Tensor& var, double eps);

/// (x - mean) rstd weight + bias; mean and rstd [B, C]; weight, bias [C] or undefined.
Tensor channel_norm(const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& weight,
                    const Tensor& bias, const char* op);

/// A batch that is spread over several x, of which this is one: statistics and their gradients are
/// over all of it.
struct SpreadBatch {
  int64_t positions = 0;  ///< in all parts together
  /// Adds up the parts' numbers, in place.
  std::function<void(std::span<double>)> sum;
};

/// With x-hat = (x - mean) rstd, g = dy weight and means over S and the channels of a group:
///   dx = rstd (g - mean(g) - x-hat mean(g x-hat)), or rstd g where the statistics are constants
///   dweight = sum of dy x-hat,  dbias = sum of dy      (in the accumulation dtype)
/// With `spread` the means are over all parts, dweight and dbias over this one.
NormGradients channel_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& mean,
                                    const Tensor& rstd, const Tensor& weight, int64_t groups,
                                    bool constant_statistics, const NormWanted& wanted,
                                    const SpreadBatch& spread = {});

}  // namespace heed::kernels
