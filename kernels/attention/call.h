// What every entry into the attention kernels begins with.
#pragma once

#include <optional>

#include "kernels/attention/plan.h"

namespace heed::kernels::attn {

/// The problem of a call; throws where shapes, dtypes or the spec do not fit. With `paged_keys`, k
/// and v are pages [pages, Hkv, page, D] that hold as many tokens of every row of q's batch.
Problem make_problem(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionSpec& spec,
                     std::optional<int64_t> paged_keys = {});

/// The checks of it, for tensors on any device.
Extents checked_extents(const Tensor& q, const Tensor& k, const Tensor& v,
                        const AttentionSpec& spec, std::optional<int64_t> paged_keys = {});

/// Counts the products of each pair: `keys` as long as a key, `values` as long as a value.
void count_products(const Problem& problem, int64_t keys, int64_t values);

/// A new [B, H, N, D] tensor laid out [B, N, H, D], so that heads merge without a copy.
Tensor token_major(int64_t batch, int64_t heads, int64_t rows, int64_t width, DType dtype,
                   Device device = kCpu);

/// One as `x` is, laid out so.
Tensor token_major(const Tensor& x);

/// x itself when its rows are contiguous, else a copy.
Tensor with_contiguous_rows(const Tensor& x);

/// Zeros for the wanted gradients of the score's tensors.
void prepare_score_gradients(AttentionGradients& grads, const AttentionScore& score,
                             const ScoreWants& wants, DType dtype);

/// Of sums and logits: f64 for f64, else f32.
DType statistics_dtype(DType dtype);

}  // namespace heed::kernels::attn
