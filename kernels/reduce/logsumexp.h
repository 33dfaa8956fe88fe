// log sum exp of rows, and its gradient.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

/// x [M, N] (f32, bf16, f64; N > 0) -> log sum exp of each row [M], in f32 (f64 for f64). A row
/// that is -infinity throughout gives -infinity.
Tensor logsumexp_rows(const Tensor& x);

/// dx = dy e^(x - lse) [M, N], with dy and lse [M] in f32 (f64 for f64); zero where lse is
/// -infinity.
Tensor logsumexp_rows_backward(const Tensor& dy, const Tensor& x, const Tensor& lse);

}  // namespace heed::kernels
