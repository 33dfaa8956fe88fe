// What every entry into the attention kernels begins with.
#pragma once

#include "kernels/attention/plan.h"

namespace heed::kernels::attn {

/// The problem of a call; throws where shapes, dtypes or the spec do not fit.
Problem make_problem(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionSpec& spec);

/// x itself when its rows are contiguous, else a copy.
Tensor with_contiguous_rows(const Tensor& x);

/// Zeros for the wanted gradients of the score's tensors.
void prepare_score_gradients(AttentionGradients& grads, const AttentionScore& score,
                             const ScoreWants& wants, DType dtype);

/// Of sums and logits: f64 for f64, else f32.
DType statistics_dtype(DType dtype);

}  // namespace heed::kernels::attn
