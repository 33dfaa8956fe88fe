#include "nn/layers/learned_position.h"

#include <numeric>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "nn/init.h"

namespace heed::nn {

Tensor position_ids(int64_t first, int64_t count) {
  Tensor ids = Tensor::empty({count}, DType::i64);
  std::iota(ids.data<int64_t>(), ids.data<int64_t>() + count, first);
  return ids;
}

void LearnedPositionOptions::options(Options& o) {
  o.field("context", context, "number of positions", {.min = 1, .required = true});
  o.field("dim", dim, "features", {.min = 1, .required = true});
}

LearnedPosition::LearnedPosition(const LearnedPositionOptions& options, Init weight_init) {
  weight = Tensor::empty({options.context, options.dim});
  parameters({{"weight", weight, weight_init ? std::move(weight_init) : init::normal(0.02)}});
}

Tensor LearnedPosition::forward(const Tensor& x, const Tensor& positions) {
  HEED_CHECK(x.rank() == 3, "learned_position: wants [B, N, C], got {}", x);
  const int64_t tokens = x.size(1);
  HEED_CHECK(positions.defined() || tokens <= weight.size(0),
             "learned_position: {} tokens, but the table has {} positions", tokens, weight.size(0));
  const Tensor ids = positions.defined() ? positions : position_ids(0, tokens);
  return add(x, embedding(weight, ids, x.dtype()));
}

}  // namespace heed::nn
