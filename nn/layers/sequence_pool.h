// Sequence pooling (Hassani et al., Compact Transformers, arXiv 2104.05704): one vector of a
// sequence, attention with a single learned query:
//   s = x g + c;   w = softmax of s over the tokens;   y = sum over n of w_n x_n
// c shifts all scores alike: its gradient is 0.
#pragma once

#include "nn/layers/linear.h"

namespace heed::nn {

struct SequencePoolOptions {
  int64_t dim = 0;

  void options(Options& o);
};

struct SequencePool : Module {
  explicit SequencePool(const SequencePoolOptions& options, Init weight_init = {});

  /// x [B, N, dim] -> [B, dim]; with lengths [B] of each row's first tokens alone (of all, alike,
  /// where a length is 0).
  Tensor forward(const Tensor& x, const Tensor& lengths);
  Tensor forward(const Tensor& x) { return forward(x, {}); }
  double flops(int64_t tokens) const;

  Linear score;
};

}  // namespace heed::nn
