// Low-rank adaptation of a frozen linear layer (Hu et al., arXiv 2106.09685, eq. 3):
//   y = x weight^T + bias + (alpha / rank) (dropout(x) down^T) up^T
#pragma once

#include "nn/layers/low_rank.h"

namespace heed::nn {

struct LoraOptions {
  int64_t in = 0;
  int64_t out = 0;
  bool bias = true;
  int64_t rank = 8;
  double alpha = 16.0;
  double dropout = 0.0;

  void options(Options& o);
};

struct Lora : Module {
  /// The base is frozen; `up` starts at 0, so that the layer starts as the base.
  explicit Lora(const LoraOptions& options);

  /// x [..., in] -> [..., out]. Gradients reach x through the frozen base too.
  Tensor forward(const Tensor& x);
  Tensor operator()(const Tensor& x) { return forward(x); }

  /// Adds the update to the base's weight, for inference at the base's cost. An error when it is
  /// merged already.
  void merge();
  /// Gives the base its old weight back, bit for bit.
  void unmerge();
  bool merged() const { return original_.defined(); }

  Linear base;
  LowRank update;

 private:
  Tensor original_;  // the base's weight while merged
};

}  // namespace heed::nn
