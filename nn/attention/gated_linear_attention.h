// Linear attention whose state decays, S_t = g_t S_{t-1} + k_t v_t^T, o_t = q_t^T S_t / sqrt(D):
//   head     g fixed, 1 - 2^(-5 - h) for head h: retention (arXiv 2307.08621, eq. 8)
//   token    g_t = sigmoid(w.x_t + b)^(1/16) for each head (gated retention, arXiv 2405.05254)
//   channel  g_t = sigmoid(W2 W1 x_t + b)^(1/16) for each channel of the keys, with a low-rank
//            product (gated linear attention, arXiv 2312.06635, section 4.4)
//   out = Wo (RMS norm of o_t by head * silu(Wg x_t))
#pragma once

#include "nn/attention/state_attention.h"

namespace heed::nn {

struct GatedLinearOptions {
  std::string gate = "head";
  int64_t gate_rank = 16;
  double gate_root = 16.0;
  bool output_gate = true;

  void options(Options& o);
};

class GatedLinearAttention : public StateAttention {
 public:
  GatedLinearAttention(const AttentionHost& host, const GatedLinearOptions& options);

  using AttentionMechanism::forward;
  Tensor forward(const Tensor& x, const AttentionContext& context) override;
  double flops(int64_t tokens) const override;
  void split_heads(const TensorSplitPointer& split) override;

  std::unique_ptr<Linear> gate_down;    // channel: dim -> gate_rank
  std::unique_ptr<Linear> gate;         // token: dim -> heads; channel: gate_rank -> heads D
  std::unique_ptr<Linear> output_gate;  // dim -> heads D

 private:
  Tensor log_decay(const Tensor& x) const;

  GatedLinearOptions options_;
};

}  // namespace heed::nn
