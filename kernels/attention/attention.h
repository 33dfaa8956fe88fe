// Fused attention, forward and backward, with log-sum-exp.
#pragma once

#include <optional>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"

namespace heed {

/// Which (query i, key j) pairs exist.
struct AttentionPattern {
  enum class Kind { dense, causal };
  Kind kind = Kind::dense;
  /// Position of query 0 among the keys: causal allows j <= i + query_offset (decoding with a
  /// cache).
  int64_t query_offset = 0;

  static AttentionPattern dense() { return {}; }
  static AttentionPattern causal(int64_t query_offset = 0) { return {Kind::causal, query_offset}; }
};

/// What happens between q.k and the softmax.
struct AttentionScore {
  double scale = 0.0;             ///< 0 means 1/sqrt(D)
  std::vector<float> alibi = {};  ///< slope of each query head: adds -slope * (i + query_offset -
                                  ///< j) (Press et al. 2022); empty for none
};

struct AttentionSpec {
  AttentionPattern pattern = {};
  AttentionScore score = {};
  double dropout = 0.0;  ///< on the probabilities; draws keyed by (key, b, h, i, j)
  RandomKey dropout_key = {};
};

namespace kernels {

struct AttentionOutput {
  Tensor out;  // [B, H, N, Dv], laid out [B, N, H, Dv]
  Tensor lse;  // [B, H, N]
};

AttentionOutput attention(const Tensor& q, const Tensor& k, const Tensor& v,
                          const AttentionSpec& spec);

struct AttentionGradients {
  Tensor dq, dk, dv;
};

/// `into` may hold tensors (strided views) that receive the gradients; undefined ones are allocated
/// laid out [B, N, H, D]. `dlse` may be undefined. A gradient that is not wanted stays undefined.
AttentionGradients attention_backward(const Tensor& dout, const Tensor& dlse, const Tensor& q,
                                      const Tensor& k, const Tensor& v,
                                      const AttentionOutput& forward, const AttentionSpec& spec,
                                      bool want_q, bool want_kv, AttentionGradients into = {});

}  // namespace kernels
}  // namespace heed
