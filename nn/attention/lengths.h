// Batches of sequences of different lengths, padded behind.
#pragma once

#include <vector>

#include "autograd/ops/attention.h"

namespace heed::nn {

// Lengths are read on the host. For a trace's listener (autograd/trace.h), what depends on them is
// an op of its own, and the special case of full sequences is none.

/// `lengths` [batch] as i64, each in [0, tokens]; undefined when given undefined or when every
/// sequence is full, so that nothing needs masking.
Tensor checked_lengths(const Tensor& lengths, int64_t batch, int64_t tokens);

/// f32 [B, tokens, 1]: `inside` at each row's first lengths[b] tokens, `behind` at the others.
Tensor by_length(const Tensor& lengths, int64_t tokens, double inside, double behind,
                 Device device);

/// The lengths as floating numbers.
Tensor floating_lengths(const Tensor& lengths, DType dtype, Device device);

/// table[lengths[b]]: i64 [B]; the table has an entry for each length from 0 on.
Tensor looked_up(const std::vector<int64_t>& table, const Tensor& lengths);

/// The pattern's pairs of each row's first lengths[b] queries and keys.
AttentionPattern within_lengths(const AttentionPattern& pattern, const Tensor& lengths);
/// The same of the first lengths[b] keys and all of `queries`.
AttentionPattern keys_within_lengths(const AttentionPattern& pattern, int64_t queries,
                                     const Tensor& lengths);

/// Attention of each sequence's own tokens alone: q [B, H, N, D], k and v [B, Hkv, N, D], lengths
/// [B] -> [B, H, N, D], 0 beyond a row's length. Padding costs nothing.
Tensor attention_of_lengths(const Tensor& q, const Tensor& k, const Tensor& v,
                            const Tensor& lengths, const AttentionSpec& spec);

/// The mean of the first lengths[b] rows of each x[b]: x [B, N, C] -> [B, C]; of all when lengths
/// is undefined; 0 where a length is.
Tensor mean_of_lengths(const Tensor& x, const Tensor& lengths);
/// The same of the largest of each feature; -infinity where a length is 0.
Tensor max_of_lengths(const Tensor& x, const Tensor& lengths);

}  // namespace heed::nn
