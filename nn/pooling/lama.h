// LAMA (Mehta, Rangwala and Ramakrishnan, "Low Rank Factorization for Compact Multi-Head
// Self-Attention", arXiv 1912.00835): heads whose bilinear scores c^T W_i u_t of one context vector
// c and each token have matrices of rank one, W_i = p_i q_i^T, so that all of them are two tables
// P, Q [dim, heads]:
//   u_t = tanh(W x_t + b);   f_t = tanh((P^T c) * (Q^T u_t));   f_t <- f_t / |f_t|
//   A = softmax of f over the tokens;   y = A x, head after head
// The norm runs over the heads of a token: where it weighs much for one it weighs little for the
// others, and no token weighs more than e^2 times another in any head.
#pragma once

#include <memory>
#include <string>

#include "nn/layers/linear.h"
#include "nn/pooling/pooling.h"

namespace heed::nn {

struct LamaOptions {
  int64_t heads = 8;
  std::string context = "learned";
  bool annotation = true;
  std::string activation = "tanh";
  double scale = 1.0;

  void options(Options& o);
};

class Lama : public Pooling {
 public:
  Lama(const PoolingHost& host, const LamaOptions& options);

  Tensor forward(const Tensor& x, const Tensor& lengths) override;
  int64_t width() const override { return p.weight.numel(); }
  int64_t heads() const override { return q.weight.size(0); }
  Tensor weights(const Tensor& x, const Tensor& lengths) override;
  double flops(int64_t tokens) const override;

  Linear p, q;                         // P and Q, transposed: [heads, dim]
  Tensor context;                      // [dim], or undefined: the mean of the tokens
  std::unique_ptr<Linear> annotation;  // or null: u = x

 private:
  LamaOptions options_;
};

}  // namespace heed::nn
