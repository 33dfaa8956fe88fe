// Matrix products: out (+)= a b, batched, with a fused bias and activation.
//
// bf16 and small f32 products run on oneDNN, one thread a tile, large f32 products on kernels of
// our own (packed.h); tiles depend on the sizes alone, so a product is bit for bit the same for
// every thread count. bf16 products accumulate in f32 and may be written as f32. f64 (for checks)
// has a plain blocked kernel.
#pragma once

#include "core/tensor.h"
#include "kernels/matmul/activation.h"

namespace heed::kernels {

struct GemmOptions {
  bool accumulate =
      false;  ///< add to out instead of overwriting it (out f32 or f64; no bias, no activation)
  Tensor bias = {};  ///< [N], floating, added to every row; undefined for none
  Activation activation = Activation::none;
  /// Receives activation(a b + bias) while `out` keeps a b + bias, which the activation's gradient
  /// needs; undefined: out itself is activated.
  Tensor activated = {};
};

/// out[..., M, N] (+)= a[..., M, K] b[..., K, N]. The leading dimensions of a and b broadcast to
/// out's. a and b share a dtype (f32, bf16, f64); out has it too, or is f32 for bf16 operands.
/// Operands may be any views: transposed ones are read in place, others whose last two dimensions
/// both have a stride are copied. out's last dimension is contiguous.
void gemm(const Tensor& a, const Tensor& b, const Tensor& out, const GemmOptions& options = {});

/// a b in a new tensor of the operands' dtype.
Tensor matmul(const Tensor& a, const Tensor& b);

/// dz = dy * activation'(z) and dbias = sum of dz over rows (f32, or f64 for f64; in a fixed
/// order), in one pass. Row-major [R, N] of one dtype. With Activation::none dz is dy itself and
/// only the sum is computed.
struct ActivationGradients {
  Tensor dz;
  Tensor dbias;  // undefined unless wanted
};
ActivationGradients activation_backward(Activation activation, const Tensor& dy, const Tensor& z,
                                        bool want_bias);

}  // namespace heed::kernels
