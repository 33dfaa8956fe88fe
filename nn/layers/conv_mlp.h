// A feed-forward layer that looks at its neighbours: a depthwise 3x3 convolution with bias on the
// hidden features (Wang et al., arXiv 2106.13797; Guo et al., arXiv 2202.09741):
//   y = down(dropout(activation(depthwise(up(x)))))
// or beside them (Ren et al., arXiv 2308.12216):
//   h = up(x);   y = down(dropout(activation(h + depthwise(h))))
#pragma once

#include "nn/layers/conv.h"
#include "nn/layers/mlp.h"

namespace heed::nn {

struct ConvMlpOptions : MlpOptions {
  bool residual = false;

  void options(Options& o);
};

struct ConvMlp : FeedForward {
  /// `depthwise_init` fills the convolution's weight, as in Conv.
  explicit ConvMlp(const ConvMlpOptions& options, const BlockInit& init = {},
                   Init depthwise_init = {});

  /// x [B, H, W, C] -> the same shape.
  Tensor forward(const Tensor& x) override;
  double flops_per_token() const override;
  void split_hidden(const TensorSplitPointer& split) override;

  Activation activation;
  Linear up, down;
  Conv depthwise;
  Dropout dropout;
  bool residual;
};

}  // namespace heed::nn
