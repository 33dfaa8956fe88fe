// Many small positive definite systems whose matrices are never formed: weighted Gram matrices of
// shared keys (local linear attention, arXiv 2510.01450; MesaNet, arXiv 2506.05233),
//   A_i x_i = y_i,     A_i = sum_j w_ij z_ij z_ij^T + ridge I,     z_ij = k_j - c_i
// by conjugate gradients: each step streams the keys once, for all rows of a block.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

struct GramSystem {
  Tensor weights;      ///< w [B, H, N, M], not negative
  Tensor keys;         ///< k [B, H, M, D]
  Tensor centre = {};  ///< c [B, H, N, D]; undefined: 0
  double ridge = 0.1;  ///< positive
};

struct ConjugateGradientOptions {
  int64_t iterations = 32;  ///< at most
  /// A row is done when |A x - y| <= tolerance |y|; the dtype's precision at least.
  double tolerance = 1e-6;
};

/// x [B, H, N, D] from y, in its dtype (bf16 is solved in f32). Throws where the system is not
/// positive definite, NaN included. A row that is not done after the last step is left as it is.
Tensor gram_solve(const GramSystem& system, const Tensor& y,
                  const ConjugateGradientOptions& options = {});

struct GramGradients {
  Tensor dweights, dkeys, dcentre, dy;
};
/// With u of A u = dx by a second solve: dy = u, dw_ij = -(u_i.z_ij)(x_i.z_ij), and those of z_ij.
GramGradients gram_solve_backward(const Tensor& dx, const GramSystem& system, const Tensor& x,
                                  const ConjugateGradientOptions& options = {});

}  // namespace heed::kernels
