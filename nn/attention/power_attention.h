// PowerAttention (arXiv 2503.03588, algorithm 1): blocks of queries see the blocks at distances of
// powers of two, the nearest ones and the first ones,
//   o_i = sum_j softmax_j(q_i.k_j / sqrt(D)) v_j    over j <= i with D = i/b - j/b a power of two,
//                                                   D < window, or j/b < sinks
// so that d layers reach any distance under 2^d. It adds no parameters: any model of softmax
// attention can take it on. The paper's baselines are other rules on the same blocks
// (kernels/attention/patterns/power.h).
#pragma once

#include "kernels/attention/patterns/power.h"
#include "nn/attention/pattern_attention.h"

namespace heed::nn {

struct PowerAttentionOptions {
  std::string rule = "power";
  int64_t block = 64;
  int64_t window = 5;
  int64_t sinks = 1;
  int64_t stride = 32;

  void options(Options& o);
};

class PowerAttention : public PatternAttention {
 public:
  PowerAttention(const AttentionHost& host, const PowerAttentionOptions& options);

 protected:
  AttentionPattern pattern(const PatternRequest& request) const override;

 private:
  PowerBlocks blocks_;
};

}  // namespace heed::nn
