// The fused kernels for f32 and bf16 (f32 accumulation). Rows of all tensors are contiguous.
#pragma once

#include "kernels/attention/pair_walk.h"
#include "kernels/attention/score_sums.h"
#include "kernels/attention/tiles.h"

namespace heed::kernels::attn {

void fused_forward(const Problem& problem, const Tensor& q, const Tensor& k, const Tensor& v,
                   const Tensor& out, const Tensor& lse);

/// Undefined gradients are not computed; dk and dv go together. `dlse` and forward.out may be
/// undefined.
void fused_backward(const Problem& problem, const Tensor& dout, const Tensor& dlse, const Tensor& q,
                    const Tensor& k, const Tensor& v, const AttentionOutput& forward,
                    const AttentionGradients& grads, const PairWalk<float>& walk = {});

/// Whether decode_forward takes the problem: few queries, many keys.
bool suits_decode(const Problem& problem);
/// Where keys and values lie in pages: [pages, Hkv, page, D] tensors, and for every row of the
/// batch the pages of its tokens.
struct PageTable {
  const int32_t* pages = nullptr;  ///< null: k and v are [B, Hkv, M, D]
  int64_t row = 0;                 ///< pages of a row
  int64_t page = 0;                ///< tokens of a page
};
void decode_forward(const Problem& problem, const Tensor& q, const Tensor& k, const Tensor& v,
                    const Tensor& out, const Tensor& lse, const PageTable& table = {});

/// What all tasks of decode_forward share.
struct DecodeCall {
  const Problem& p;
  const Tensor &q, &k, &v, &out, &lse;
  int64_t rows = 0;     // queries of a (batch, key/value head)
  int64_t splits = 0;   // of the keys
  int64_t width = 0;    // of one partial result
  Tensor partial = {};  // [B Hkv, rows, splits, width] f32
  PageTable table = {};
};

/// What all tasks of a backward pass share.
struct BackwardCall {
  const Problem& p;
  const Tensor &dout, &dlse, &q, &k, &v;
  const AttentionOutput& forward;
  const AttentionGradients& grads;
  ScoreTerms<float> terms;
  Tasks tasks;
  // With slices: rows of dK and dV of each task's keys, f32; where each task's begin.
  Tensor dk_partial = {}, dv_partial = {};
  std::vector<int64_t> partial_rows = {};
  ScoreSums sums;
  PairWalk<float> walk = {};
};

}  // namespace heed::kernels::attn
