// Gated feed-forward layer (SwiGLU, GEGLU; Shazeer, arXiv 2002.05202, eq. 6):
//   gate, up = split(gate_up(x));    y = down(dropout(activation(gate) * up))
#pragma once

#include <string>

#include "core/options.h"
#include "nn/layers/dropout.h"
#include "nn/layers/feed_forward.h"
#include "nn/layers/linear.h"

namespace heed::nn {

struct SwigluOptions {
  int64_t dim = 0;
  int64_t hidden = 0;
  std::string activation = "silu";
  bool bias = false;
  double dropout = 0.0;

  void options(Options& o);
};

struct Swiglu : FeedForward {
  explicit Swiglu(const SwigluOptions& options, const BlockInit& init = {});

  Tensor forward(const Tensor& x) override;
  double flops_per_token() const override;
  void split_hidden(const TensorSplitPointer& split) override;

  Activation activation;
  Linear gate_up;  // [2 hidden, dim]: the gate's rows, then the values'
  Linear down;
  Dropout dropout;
};

}  // namespace heed::nn
