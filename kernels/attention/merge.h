// Attentions of the same queries over disjoint keys, merged through their log-sum-exps.
#pragma once

#include <vector>

#include "kernels/attention/attention.h"

namespace heed::kernels {

/// lse = log sum_p e^lse_p and out = sum_p factor_p e^(lse_p - lse) out_p: with factors of one (no
/// factors) the attention over all parts' keys at once; other factors weigh the parts' shares after
/// the softmax. Equal shapes and dtypes. A row that no part sees has out 0 and lse -infinity.
AttentionOutput merge_attentions(const std::vector<AttentionOutput>& parts,
                                 const std::vector<double>& factors = {});

/// whole := whole and part, in place. The whole's out and lse are row-major, of the dtype of lse
/// (zeros and -infinity before the first part); `shift`, by head, is added to the part's lse.
void merge_into(const AttentionOutput& whole, const AttentionOutput& part,
                const std::vector<double>& shift = {});

/// The gradients of each part's out and lse; `dlse` may be undefined. `lse` is the merged one.
std::vector<AttentionOutput> merge_attentions_backward(const Tensor& dout, const Tensor& dlse,
                                                       const std::vector<AttentionOutput>& parts,
                                                       const Tensor& lse,
                                                       const std::vector<double>& factors = {});

}  // namespace heed::kernels
