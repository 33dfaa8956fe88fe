// Two linear layers with a nonlinearity between (Vaswani et al. 2017, eq. 2):
//   y = down(dropout(activation(up(x))))
#pragma once

#include "core/options.h"
#include "nn/layers/dropout.h"
#include "nn/layers/feed_forward.h"
#include "nn/layers/linear.h"

namespace heed::nn {

struct MlpOptions {
  int64_t dim = 0;
  int64_t hidden = 0;
  std::string activation = "gelu";
  bool bias = true;
  double dropout = 0.0;

  void options(Options& o);
};

/// "none", "relu", "gelu", "gelu_tanh" or "silu"; a RequestError for another.
Activation activation_from_name(const std::string& name);

struct Mlp : FeedForward {
  explicit Mlp(const MlpOptions& options, const BlockInit& init = {});

  Tensor forward(const Tensor& x) override;
  double flops_per_token() const override;
  void split_hidden(const TensorSplitPointer& split) override;

  Activation activation;
  Linear up, down;
  Dropout dropout;
};

}  // namespace heed::nn
