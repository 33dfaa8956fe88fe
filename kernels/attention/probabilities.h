// What can be told of an attention's probabilities without storing them: sums by key, by relative
// offset of each query, and the extreme logits of each head. Each walks the pattern's tiles once
// more.
#pragma once

#include "kernels/attention/attention.h"

namespace heed::kernels {

/// sums[b, h, j] = sum_i weight[b, h, i] p_ij: [B, H, M] (f32; f64 for f64). p = exp(logit - lse)
/// before dropout; `lse` [B, H, N] as `attention` gives it; `weight` [B, H, N], undefined: ones,
/// is rounded to q's dtype, like all that multiplies values of it. With one query these are its
/// probabilities.
Tensor attention_column_sums(const Tensor& q, const Tensor& k, const Tensor& lse,
                             const AttentionSpec& spec, const Tensor& weight = {});

/// The gradients of column sums for dsums [B, H, M]; `dweight` [B, H, N]. Those of q, of k and of
/// the score's tensors that are not wanted stay undefined.
struct ColumnSumGradients {
  AttentionGradients inputs;  ///< dq, dk and those of the score's tensors
  Tensor dweight;
};
ColumnSumGradients attention_column_sums_backward(const Tensor& dsums, const Tensor& q,
                                                  const Tensor& k, const Tensor& lse,
                                                  const AttentionSpec& spec, const Tensor& weight,
                                                  const ScoreWants& wants = {}, bool want_q = true,
                                                  bool want_k = true);

/// sums[b, h, i, e] = sum over keys j with index(i, j) = e of p_ij, after dropout: [B, H, N,
/// entries] (f32; f64 for f64). Times a table of values by offset they are its share of the output
/// (Shaw et al., arXiv 1803.02155, eq. 3).
Tensor attention_bucket_sums(const Tensor& q, const Tensor& k, const Tensor& lse,
                             const AttentionSpec& spec, const RelativeIndex& index,
                             int64_t entries);

/// The gradients of bucket sums, given them and dsums: dq, dk and those of the score's tensors.
AttentionGradients attention_bucket_sums_backward(const Tensor& dsums, const Tensor& sums,
                                                  const Tensor& q, const Tensor& k,
                                                  const Tensor& lse, const AttentionSpec& spec,
                                                  const RelativeIndex& index,
                                                  const ScoreWants& wants = {}, bool want_q = true,
                                                  bool want_k = true);

/// The least and the largest logit of each batch and head over the pairs of the pattern: [B, H]
/// each (f32; f64 for f64); +infinity and -infinity where there is no pair.
struct LogitRange {
  Tensor least, largest;
};
LogitRange attention_logit_range(const Tensor& q, const Tensor& k, const AttentionSpec& spec);

}  // namespace heed::kernels
