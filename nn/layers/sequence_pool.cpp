#include "nn/layers/sequence_pool.h"

#include "nn/pooling/token_weights.h"

namespace heed::nn {

void SequencePoolOptions::options(Options& o) {
  o.field("dim", dim, "features of a token", {.min = 1, .required = true});
}

SequencePool::SequencePool(const SequencePoolOptions& o, Init weight_init)
    : score(o.dim, 1, true, std::move(weight_init)) {
  children({{"score", score}});
}

Tensor SequencePool::forward(const Tensor& x, const Tensor& lengths) {
  HEED_CHECK(x.rank() == 3, "sequence_pool: wants [B, N, C], got {}", x);
  return weighted_sums(token_weights(score(x), lengths), x);
}

double SequencePool::flops(int64_t tokens) const {
  return 4.0 * static_cast<double>(score.weight.numel() * tokens);
}

}  // namespace heed::nn
