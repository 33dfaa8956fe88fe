// Statistics of the probabilities, by a backward pass over the tiles: see probabilities.h.
#pragma once

#include "kernels/attention/scores.h"

namespace heed::kernels::attn {

/// What a backward walk does to single pairs beside the gradients: so statistics of the
/// probabilities, and their gradients, come from the same tiles. With V and dO of ones and no
/// delta, dS is P itself. Contiguous tensors, zeros where they are summed into.
template <class A>
struct PairWalk {
  TableIndex index = {};               ///< of buckets
  const A* bucket_gradient = nullptr;  ///< [B, H, N, entries], added to dP
  const A* key_factor = nullptr;       ///< [B, H, M], multiplies dP
  A* bucket_sums = nullptr;            ///< [B, H, N, entries], of dS
  A* key_sums = nullptr;               ///< [B, H, M], of dS
  A* row_sums = nullptr;               ///< [B, H, N], of dS
  /// [B, H, N] each: of the logits; nothing else is computed with these.
  A *row_least = nullptr, *row_largest = nullptr;

  bool changes_values() const { return bucket_gradient || key_factor; }
};

}  // namespace heed::kernels::attn
