// Rotary position embedding (RoFormer, Su et al. 2021, arXiv 2104.09864, eq. 15): the pair i of a
// head's features is turned by the angle position * base^(-2i/d).
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

/// Cosines and sines of every (position, pair), computed in f64 and rounded once.
struct RotaryTable {
  Tensor cos;                ///< [N, d/2] or [B, N, d/2]; f64 for f64 features, else f32
  Tensor sin;                ///< like cos
  bool interleaved = false;  ///< pairs (2i, 2i+1) instead of (i, i + d/2)
};

/// The table for x [batch, H, rows, head_dim] at `positions` [rows] or [batch, rows] (i64), over
/// the first rotary_dim features (all when 0). The last one made is remembered, so that layers
/// which share positions share it.
RotaryTable rotary_table(const Tensor& positions, int64_t batch, int64_t rows, int64_t head_dim,
                         int64_t rotary_dim, double base, bool interleaved, DType dtype);

/// y = rotated x, both [B, H, N, D] with contiguous rows; `inverse` turns the other way, which is
/// also the gradient. Heads from rotated_heads on (when it is not negative) are copied.
void rotate(const Tensor& x, const Tensor& y, const RotaryTable& table, bool inverse,
            int64_t rotated_heads = -1);

}  // namespace heed::kernels
