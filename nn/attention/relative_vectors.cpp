#include "nn/attention/relative_vectors.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/view.h"
#include "nn/init.h"

namespace heed::nn {
namespace {

// As the routing transformer's code starts all of its matrices: of variance 0.2 over the mean of
// rows and columns, here nearly the usual 0.02.
const double kGain = std::sqrt(0.2);

}  // namespace

RelativeVectors::RelativeVectors(int64_t reach, int64_t dim)
    : keys(Tensor::empty({2 * reach + 1, dim})),
      values(Tensor::empty({2 * reach + 1, dim})),
      reach_(reach) {
  HEED_CHECK(reach > 0, "relative vectors: a reach of {}", reach);
  parameters({{"keys", keys, init::xavier_uniform(kGain)},
              {"values", values, init::xavier_uniform(kGain)}});
}

Tensor RelativeVectors::attend(const Tensor& q, const Tensor& k, const Tensor& v,
                               const AttentionSpec& how, const Pairs& pairs) const {
  // Distances beyond the reach share its rows; rows that no pair has need no logits.
  const int64_t near = std::min(reach_, std::max<int64_t>(pairs.farthest, 1));
  const int64_t entries = near + 1 + (pairs.causal ? 0 : near);
  const auto rows = [&](const Tensor& table) {
    return cast(slice(table, 0, reach_ - near, reach_ - near + entries), q.dtype());
  };
  const double scale =
      how.score.scale > 0.0 ? how.score.scale : 1.0 / std::sqrt(static_cast<double>(q.size(3)));
  const auto index = relative_positions(q.size(2), k.size(2), near, pairs.query_offset);
  AttentionSpec with = how;
  with.score.relative_logits[0] = {relative_logits(mul(q, scale), rows(keys)), index};
  const AttentionResult y = attention(q, k, v, with);
  const Tensor sums = attention_bucket_sums(q, k, y.lse, with, index, entries);
  return add(y.out, matmul(cast(sums, v.dtype()), rows(values)));
}

}  // namespace heed::nn
