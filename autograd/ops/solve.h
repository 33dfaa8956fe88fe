// Differentiable solutions of linear systems, and the attention that is one.
#pragma once

#include "autograd/tape.h"
#include "kernels/solve/gram_solve.h"

namespace heed {

using kernels::ConjugateGradientOptions;

/// x of (a + a^T)/2 x = b by Cholesky's factorisation in f64: a [..., D, D] positive definite (an
/// error otherwise), b [..., D, R].
Tensor cholesky_solve(const Tensor& a, const Tensor& b);

/// x_i of (sum_j w_ij z_ij z_ij^T + ridge I) x_i = y_i with z_ij = k_j - c_i, by conjugate
/// gradients that never form the matrices: w [B, H, N, M] not negative, k [B, H, M, D], y and c [B,
/// H, N, D] (c undefined: 0), ridge > 0. The gradient solves the same systems once more, with the
/// same options: it is as exact as they are.
Tensor gram_solve(const Tensor& weights, const Tensor& keys, const Tensor& y, const Tensor& centre,
                  double ridge, const ConjugateGradientOptions& options = {});

struct LocalLinearOptions {
  double scale = 0.0;  ///< of q.k; 0 means 1/sqrt(D)
  double ridge = 0.1;  ///< on the normalised weights: it does not depend on the length
  bool causal = true;  ///< the queries are the last of the keys' tokens
  ConjugateGradientOptions solver = {};
};

/// Local linear attention (arXiv 2510.01450): for each query the value at it of the ridge
/// regression of v on k that is weighted by softmax attention's probabilities p_ij. With the means
/// k' = sum p k and v' = sum p v, and C the weighted covariances,
///   out_i = v' + C_vk (C_kk + ridge I)^-1 (q_i - k')
/// q [B, H, N, D], k [B, H, M, D], v [B, H, M, Dv]; bf16 is computed in f32. Queries go in blocks
/// that are computed again for the gradient: memory is linear in N and M.
Tensor local_linear_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                              const LocalLinearOptions& options = {});

}  // namespace heed
