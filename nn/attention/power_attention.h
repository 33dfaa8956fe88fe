// PowerAttention (arXiv 2503.03588, algorithm 1): blocks of queries see the blocks at distances of
// powers of two, the nearest ones and the first ones, so that d layers reach any distance under
// 2^d.
#pragma once

#include "nn/attention/pattern_attention.h"

namespace heed::nn {

struct PowerAttentionOptions {
  int64_t block = 64;
  int64_t window = 5;
  int64_t sinks = 1;

  void options(Options& o);
};

class PowerAttention : public PatternAttention {
 public:
  PowerAttention(const AttentionHost& host, const PowerAttentionOptions& options)
      : PatternAttention(host), options_(options) {}

 protected:
  AttentionPattern pattern(const PatternRequest& request) const override;

 private:
  PowerAttentionOptions options_;
};

}  // namespace heed::nn
