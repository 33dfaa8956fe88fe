// Pooling by additive attention: a small network scores each token by itself.
//   s_t = V tanh(W x_t + b);   A = softmax of s over the tokens;   y = A x, head after head
// One head is Yang et al. 2016 (Hierarchical Attention Networks, eq. 5-7); several, without b, are
// Lin et al., "A Structured Self-attentive Sentence Embedding" (arXiv 1703.03130, eq. 5-6).
#pragma once

#include "nn/layers/linear.h"
#include "nn/pooling/pooling.h"

namespace heed::nn {

struct AdditivePoolingOptions {
  int64_t heads = 1;
  int64_t hidden = 0;
  bool bias = true;

  void options(Options& o);
};

class AdditivePooling : public Pooling {
 public:
  AdditivePooling(const PoolingHost& host, const AdditivePoolingOptions& options);

  Tensor forward(const Tensor& x, const Tensor& lengths) override;
  int64_t width() const override { return score.weight.size(0) * hidden.weight.size(1); }
  int64_t heads() const override { return score.weight.size(0); }
  Tensor weights(const Tensor& x, const Tensor& lengths) override;
  double flops(int64_t tokens) const override;

  Linear hidden, score;
};

}  // namespace heed::nn
