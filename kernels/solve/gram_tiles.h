// A p for the systems of gram_solve.h in f32: keys pass by in tiles of 64, so that the products
// between rows and keys never leave the first-level cache.
#pragma once

#include <cstdint>

#include "kernels/attention/tiles.h"

namespace heed::kernels {

/// Keys packed for one block of up to 64 rows.
struct GramTiles {
  static constexpr int64_t kRows = 64, kKeys = 64;

  /// From contiguous rows [keys, dim].
  GramTiles(const float* from, int64_t keys, int64_t dim);

  int64_t keys, dim;
  float *rows, *columns;    // of tiles: [64, row_stride(dim)], and transposed [padded(dim), 64]
  float *p, *sums, *pairs;  // to work in
  attn::Scratch scratch;
};

/// to_i = sum_j w_ij (k_j.p_i - c_i.p_i) (k_j - c_i) + ridge p_i for `count` rows; p, c and to
/// [count, dim], w [count, keys], all contiguous; c may be null. 4 flops a row, key and channel.
struct GramRows {
  int64_t count = 0;
  const float* weights = nullptr;
  const float* centre = nullptr;
  float ridge = 0.0f;
};
void apply_gram(const GramTiles& tiles, const GramRows& rows, const float* p, float* to);

}  // namespace heed::kernels
