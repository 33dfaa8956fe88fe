// Selective attention (arXiv 2411.12892): softmax attention in which every token has inverse
// temperatures, by what it is and by where it stands,
//   out_i = sum_j softmax_j(tau_q(x_i, i) q_i.k_j / sqrt(D)) tau_v(x_j) v_j
//   tau(x, n) = tanh(f(x)) + 1 + g(n)
// with n the keys that row i sees (from 1: its position where it sees its past alone), g growing
// with log n against the dilution of long rows, and f a small function of the token:
//   shared    w.gelu(W x) + b, W the projection to the queries (values, keys) themselves
//   mlp       w2.gelu(W1 x + b1) + b2
//   none      0: position alone
// and g(n) = log(n) times sigmoid(alpha), exp(-exp(alpha)) or alpha (the released code's two
// forms).
#pragma once

#include <memory>

#include "nn/attention/projected_attention.h"

namespace heed::nn {

struct SelectiveOptions {
  bool query = true;
  bool value = true;
  bool key = false;
  std::string token = "shared";
  int64_t hidden = 0;
  std::string gate = "sigmoid";
  double alpha = 0.0;
  bool value_position = false;
  bool per_head = false;

  void options(Options& o);
};

/// One inverse temperature of every token, or one of every token and head.
struct Temperature : Module {
  /// Of `heads` heads whose projection has `features` features a token, for tokens of `dim`.
  Temperature(const SelectiveOptions& options, bool position, int64_t dim, int64_t heads,
              int64_t features, const BlockInit& init);

  /// x [B, N, dim], its projection [B, N, features], log n [N] or [B, 1] (of each row) ->
  /// [B, N, 1 or this rank's heads].
  Tensor forward(const Tensor& x, const Tensor& projection, const Tensor& log_count);
  void split(const TensorSplitPointer& split);
  double flops_per_token() const;

  std::unique_ptr<Linear> up;  // mlp: dim -> hidden; else null
  Tensor weight;               // [1 or heads, features or hidden], with a term of the token
  Tensor bias;                 // [1 or heads]
  Tensor alpha;                // [1], with a term of the position

 private:
  int64_t heads_;
  bool per_head_;
  std::string gate_;
  TensorSplitPointer region_;
};

class SelectiveAttention : public ProjectedAttention {
 public:
  SelectiveAttention(const AttentionHost& host, const SelectiveOptions& options);

  using AttentionMechanism::forward;
  Tensor forward(const Tensor& x, const AttentionContext& context) override;
  double flops(int64_t tokens) const override;
  bool shares_tokens() const override { return true; }
  void split_heads(const TensorSplitPointer& split) override;

  std::unique_ptr<Temperature> query_temperature, key_temperature, value_temperature;  // or null

 private:
  /// log n of x's tokens: [N], or [B, 1] where the rows have lengths of their own.
  Tensor log_count(const Tensor& x, const AttentionContext& context) const;
};

/// How flat rows of probabilities p [..., L] are: ||p||_1 / (||p||_2^2 L), from 1/L (one key has
/// all) to 1 (all have the same); the paper's measure of spikiness, lower is spikier.
Tensor spikiness(const Tensor& probabilities);

}  // namespace heed::nn
