#include "nn/layers/token_dropout.h"

#include <vector>

#include "core/random.h"

namespace heed::nn {

TokenDropout::TokenDropout(double probability) : p(probability) {
  HEED_CHECK(p >= 0.0 && p < 1.0, "token dropout: p must be in [0, 1), got {}", p);
}

Tensor TokenDropout::forward(const Tensor& ids) {
  if (!training() || p == 0.0) return ids;
  HEED_CHECK(ids.rank() == 2, "token dropout: wants ids [B, N], got {}", ids);
  const RandomStream stream(current_key(purpose()));
  const uint64_t first = first_draw(ids.size(0)) * static_cast<uint64_t>(ids.size(1));
  std::vector<int64_t> kept = ids.to_vector<int64_t>();
  for (size_t i = 0; i < kept.size(); ++i) {
    if (static_cast<double>(stream.uniform(first + i)) < p) kept[i] = 0;
  }
  return Tensor::from(kept, ids.shape()).to(ids.device());
}

}  // namespace heed::nn
