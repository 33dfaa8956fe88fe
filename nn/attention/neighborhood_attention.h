// Neighborhood attention: every token sees the `window` nearest along each of one to three axes
// (NAT, arXiv 2204.07143, eq. 1-3; FNA, arXiv 2403.04690), in steps of a dilation (DiNAT, arXiv
// 2209.15001, eq. 2), queries in groups of a stride (GNA, arXiv 2504.16922). On an axis of length
// L, with residue g = i mod d, place p = floor(i / d) among the L_g tokens of that residue:
//   start = clamp(p - floor(k / 2), 0, L_g - k)    keys g + d m, start <= m < start + k
//   causal: max(p - k + 1, 0) <= m <= p
//   logit = q.k / sqrt(D) + table[head, m - p + k - 1 along each axis]    (with `relative`)
// The kernels are those of any pattern (docs/attention.md): tiles of compact boxes of tokens, keys
// read by the haloed box around each, weights never stored.
#pragma once

#include "nn/attention/pattern_attention.h"

namespace heed::nn {

/// The lists, one number an axis, stand in for the single numbers where they are given.
struct NeighborhoodOptions {
  int64_t window = 7;
  int64_t dilation = 1;
  int64_t stride = 1;
  std::vector<int64_t> windows, dilations, strides;
  std::vector<int64_t> causal_axes;
  bool relative = false;
  int64_t axes = 2;
  std::string fit = "shrink";

  void options(Options& o);
};

/// In a causal model the tokens are a sequence and the one axis is causal.
class NeighborhoodAttention : public PatternAttention {
 public:
  NeighborhoodAttention(const AttentionHost& host, const NeighborhoodOptions& options);

  using AttentionMechanism::forward;
  /// Maps smaller than a window times its dilation are padded here where `fit` says so.
  Tensor forward(const Tensor& x, const AttentionContext& context) override;
  double flops(int64_t tokens) const override;
  /// Not where maps are padded: the padding belongs to no rank.
  bool shares_tokens() const override { return !pads(); }
  void split_heads(const TensorSplitPointer& split) override;

  Tensor table;  ///< [heads, prod(2 window - 1)] with `relative`

 protected:
  AttentionPattern pattern(const PatternRequest& request) const override;
  void add_terms(AttentionScore& score, const PatternRequest& request) const override;

 private:
  bool pads() const { return options_.fit == "pad" && !host().causal; }
  NeighborhoodAxis axis(size_t index) const;
  AttentionPattern causal_pattern(const PatternRequest& request) const;
  /// The grid, as large along each axis as the window times its dilation.
  Shape fitted(const Shape& grid) const;

  NeighborhoodOptions options_;
};

}  // namespace heed::nn
