// Rotary position embedding (RoFormer, Su et al. 2021, arXiv 2104.09864, eq. 15): the pair i of a
// head's features is turned by the angle position * base^(-2i/d).
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

/// Frequencies other than those that a model was first trained with, so that it reaches further:
/// linear divides all of them by `factor` (Chen et al., arXiv 2306.15595, eq. 4). llama3 (arXiv
/// 2407.21783, section 3.4.3, as its code has it) divides those with fewer than `low` turns in
/// `context` tokens, leaves those with more than `high`, and goes from one to the other between.
struct RotaryScaling {
  enum class Kind { none, linear, llama3 };
  Kind kind = Kind::none;
  double factor = 1.0;
  double low = 1.0;
  double high = 4.0;
  int64_t context = 8192;

  /// What becomes of a frequency in radians a token.
  double operator()(double frequency) const;
  bool operator==(const RotaryScaling&) const = default;
};

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
                         int64_t rotary_dim, double base, bool interleaved, DType dtype,
                         const RotaryScaling& scaling = {});

/// y = rotated x, both [B, H, N, D] with contiguous rows; `inverse` turns the other way, which is
/// also the gradient. Heads from rotated_heads on (when it is not negative) are copied.
void rotate(const Tensor& x, const Tensor& y, const RotaryTable& table, bool inverse,
            int64_t rotated_heads = -1);

}  // namespace heed::kernels
