// Attention over keys and values in pages: a cache that grows page by page, without a copy.
#pragma once

#include <span>

#include "kernels/attention/attention.h"

namespace heed::kernels {

struct KvPages {
  Tensor keys, values;  ///< [pages, Hkv, page, D] and [pages, Hkv, page, Dv]
  /// [B, pages of a row]: token j of a row is in table[b][j / page]. The caller's.
  std::span<const int32_t> table;
};

/// The first `keys` tokens of each row of q's batch: what `attention` gives for them in one piece.
/// Few queries read the pages in place, split by split; more of them gather the pages first.
AttentionOutput attention_paged(const Tensor& q, const KvPages& pages, int64_t keys,
                                const AttentionSpec& spec);

/// The first `keys` tokens of each row, in one piece: [B, Hkv, keys, D] of `pool`.
Tensor gather_pages(const Tensor& pool, std::span<const int32_t> table, int64_t batch,
                    int64_t keys);

}  // namespace heed::kernels
