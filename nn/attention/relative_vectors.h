// Learned vectors by relative position, beside keys and values (Shaw, Uszkoreit and Vaswani, arXiv
// 1803.02155, eq. 3 and 4), shared by all heads:
//   logit_ij = scale q_i . (k_j + keys[d]);   out_i = sum_j p_ij (v_j + values[d])
//   d = clip(j - i, -reach, reach)
// The logits' part is a product of q with the table, looked up in the fused kernel; the values'
// part is the table times the sums of each row's probabilities by distance. No N x N matrix.
#pragma once

#include "autograd/ops/attention.h"
#include "nn/module.h"

namespace heed::nn {

struct RelativeVectors : Module {
  /// Tables of 2 reach + 1 rows of `dim` features; row reach is a token's own.
  RelativeVectors(int64_t reach, int64_t dim);

  /// Which distances the pairs of an attention have: no rows of others are read.
  struct Pairs {
    int64_t farthest = 0;      ///< most tokens between a query and a key
    bool causal = true;        ///< no key lies behind its query
    int64_t query_offset = 0;  ///< query i stands where key i + query_offset does
  };
  /// attention(q, k, v, how) with them: [B, H, N, D].
  Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionSpec& how,
                const Pairs& pairs) const;

  Tensor keys, values;  // [2 reach + 1, dim]

 private:
  int64_t reach_;
};

}  // namespace heed::nn
