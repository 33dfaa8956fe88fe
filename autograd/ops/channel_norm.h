// Differentiable normalisation by statistics of channels (batch, group, instance norm; channels
// last: x is [B, spatial..., C], any number of spatial dimensions) and to unit length. Statistics
// are f32 (f64 for f64) whatever x is; weight and bias [C] may be f32 beside bf16 activations, or
// undefined.
#pragma once

#include <functional>
#include <span>

#include "autograd/tape.h"

namespace heed {

struct BatchNormResult {
  Tensor out;   ///< like x
  Tensor mean;  ///< [C], of this batch; without a gradient
  Tensor var;   ///< [C], unbiased (over n - 1), as running estimates keep it; without a gradient
};

/// Adds up the numbers of all ranks that share a batch, in place.
using SumOverRanks = std::function<void(std::span<double>)>;

/// Training (Ioffe & Szegedy 2015): (x - mean) / sqrt(var + eps) * weight + bias with the mean and
/// the biased variance of each channel over batch and space; the gradient goes through both. Throws
/// when a channel has one value only. With `sum` the statistics are those of the whole batch, of
/// which x is this rank's rows (synchronised batch norm); the gradients of weight and bias are this
/// rank's part.
BatchNormResult batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                           double eps = 1e-5, const SumOverRanks& sum = {});

/// Evaluation: the same with given statistics [C], which are constants.
Tensor batch_norm_with(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                       const Tensor& weight, const Tensor& bias, double eps = 1e-5);

/// running = (1 - momentum) running + momentum batch, in place: PyTorch's convention, momentum is
/// the share of the new batch (0.1 where TensorFlow says 0.9). Both [C]; no gradient.
void update_running(const Tensor& running, const Tensor& batch, double momentum = 0.1);

/// Statistics of each sample over space and the C / groups channels of a group (Wu & He 2018). One
/// group normalises the whole sample. `groups` must divide C.
Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias,
                  double eps = 1e-5);

/// Statistics of each sample and channel over space (Ulyanov et al. 2016).
Tensor instance_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-5);

/// x / max(|x|, eps) along dim, as PyTorch's normalize. A vector of zeros stays zeros and passes
/// its gradient on, times 1 / eps.
Tensor l2_normalize(const Tensor& x, int dim = -1, double eps = 1e-12);

}  // namespace heed
