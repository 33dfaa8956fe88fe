// What travels round a ring: keys and values of a chunk, or their gradients, in one message.
#pragma once

#include <vector>

#include "core/tensor.h"
#include "distributed/token_layout.h"

namespace heed {

/// The shapes of k [B, Hkv, m, D] and v [B, Hkv, m, Dv] on each rank, and the runs that m consists
/// of.
struct ChunkShape {
  int64_t batch = 0, heads = 0, key_width = 0, value_width = 0;
  std::vector<int64_t> runs = {};

  ChunkShape(const Tensor& k, const Tensor& v, const std::vector<TokenRun>& runs);
  int64_t numel() const;
};

/// Row-major keys and values of every run, one after another in one tensor.
class ChunkBuffer {
 public:
  ChunkBuffer() = default;
  /// Uninitialised.
  ChunkBuffer(const ChunkShape& shape, DType dtype);
  /// Filled from k and v.
  ChunkBuffer(const ChunkShape& shape, const Tensor& k, const Tensor& v);

  bool defined() const { return all.defined(); }
  void clear_to_zero() const;
  /// Copies the runs to k and v, which may have another dtype.
  void copy_to(const Tensor& k, const Tensor& v) const;

  Tensor all;                  ///< what is sent
  std::vector<Tensor> keys;    ///< [B, Hkv, run, D]
  std::vector<Tensor> values;  ///< [B, Hkv, run, Dv]
};

}  // namespace heed
