// Linear attention (Katharopoulos et al., arXiv 2006.16236, eq. 4-6):
//   out_i = sum_j (f(q_i).f(k_j)) v_j / sum_j f(q_i).f(k_j)      over all j, or j <= i
// with a feature map f in place of the softmax: elu(x) + 1, relu(x), x itself; or cosFormer's
// relu(x) (cos t, sin t) at the angle t_i = pi (i + 1) / (2 span) (arXiv 2202.08791, eq. 10), whose
// products are relu(q).relu(k) cos(t_i - t_j).
#pragma once

#include "nn/attention/state_attention.h"

namespace heed::nn {

struct LinearAttentionOptions {
  std::string feature = "elu";
  std::string normalise = "weights";
  int64_t span = 0;

  void options(Options& o);
};

class LinearAttention : public StateAttention {
 public:
  LinearAttention(const AttentionHost& host, const LinearAttentionOptions& options);

  using AttentionMechanism::forward;
  Tensor forward(const Tensor& x, const AttentionContext& context) override;
  void split_heads(const TensorSplitPointer& split) override { split_projections(split); }

 protected:
  int64_t key_channels() const override;

 private:
  Tensor feature(const Tensor& x) const;
  Heads with_angles(const Heads& heads, const Tensor& positions) const;

  LinearAttentionOptions options_;
};

}  // namespace heed::nn
