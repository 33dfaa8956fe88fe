// A diffusion model's time as features (Ho et al., arXiv 2006.11239; Peebles & Xie, arXiv
// 2212.09748):
//   y = fc2(silu(fc1([cos(t w_i) | sin(t w_i)]))),    w_i = 10000^(-i / (frequencies / 2))
#pragma once

#include "core/options.h"
#include "nn/layers/linear.h"

namespace heed::nn {

struct TimeEmbeddingOptions {
  int64_t dim = 0;
  int64_t frequencies = 256;

  void options(Options& o);
};

struct TimeEmbedding : Module {
  explicit TimeEmbedding(const TimeEmbeddingOptions& options);

  /// times [B], floating, usually in [0, 1000] -> [B, dim] in the module's compute dtype.
  Tensor forward(const Tensor& times);
  Tensor operator()(const Tensor& times) { return forward(times); }

  Linear fc1, fc2;
  int64_t frequencies;
};

}  // namespace heed::nn
