// The low-rank update of a linear layer's output (Hu et al., arXiv 2106.09685, eq. 3):
//   (alpha / rank) (dropout(x) down^T) up^T
#pragma once

#include "nn/layers/dropout.h"
#include "nn/layers/linear.h"

namespace heed::nn {

struct LowRank : Module {
  /// `up` starts at 0, and so does the update.
  LowRank(int64_t in, int64_t out, const LowRankOptions& options);

  /// x [..., in] -> [..., out].
  Tensor forward(const Tensor& x);
  /// The same as a matrix [out, in] on x, without dropout.
  Tensor matrix() const;
  const LowRankOptions& options() const { return options_; }

  Linear down, up;
  Dropout dropout;

 private:
  LowRankOptions options_;
  double scale_;
};

}  // namespace heed::nn
