// Layer and RMS normalisation over the last dimension, optionally fused with the residual addition
// before it. Statistics are f32 (f64 for f64) whatever the activations are.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

enum class Norm { layer, rms };

struct NormResult {
  Tensor out;   ///< [..., C], x's dtype
  Tensor sum;   ///< residual + x in x's dtype; undefined without a residual
  Tensor mean;  ///< [rows], of the accumulation dtype; undefined for rms
  Tensor rstd;  ///< [rows], 1 / sqrt(var + eps) or 1 / sqrt(mean of squares + eps)
};

/// x [..., C] (f32, bf16, f64); residual like x or undefined; weight, bias [C] of any floating
/// dtype or undefined (bias is for layer alone). Throws when shapes or dtypes do not fit.
NormResult norm(Norm kind, const Tensor& residual, const Tensor& x, const Tensor& weight,
                const Tensor& bias, double eps);

struct NormGradients {
  Tensor dx, dweight, dbias;  ///< undefined where not wanted
};

struct NormWanted {
  bool dx = true, dweight = true, dbias = true;
};

/// Gradients for x-hat = (x - mean) rstd, g = dy weight:
///   dx = rstd (g - mean(g) - x-hat mean(g x-hat)) + dsum     (without mean(g) for rms)
///   dweight = sum over rows of dy x-hat,  dbias = sum over rows of dy
/// `x` is what was normalised (the sum, when fused), `dsum` the gradient that reaches it from
/// elsewhere, or undefined. Row sums are taken in chunks that depend on the shape alone and added
/// in their order. dweight and dbias come in the accumulation dtype.
NormGradients norm_backward(Norm kind, const Tensor& dy, const Tensor& dsum, const Tensor& x,
                            const Tensor& weight, const Tensor& mean, const Tensor& rstd,
                            const NormWanted& wanted);

}  // namespace heed::kernels
