#include "nn/pooling/token_weights.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/view.h"
#include "nn/attention/lengths.h"

namespace heed::nn {
namespace {

// Far below any score, and finite: a row without tokens has no NaN.
constexpr double kMasked = -1e30;

}  // namespace

Tensor token_weights(const Tensor& scores, const Tensor& lengths) {
  HEED_CHECK(scores.rank() == 3, "token_weights: wants scores [B, N, heads], got {}", scores);
  const Tensor counts = checked_lengths(lengths, scores.size(0), scores.size(1));
  Tensor counted = scores;
  if (counts.defined()) {
    const Tensor mask = by_length(counts, scores.size(1), 0.0, kMasked, scores.device());
    counted = add(scores, cast(mask, scores.dtype()));
  }
  return transpose(softmax(counted, 1), 1, 2);
}

Tensor weighted_sums(const Tensor& weights, const Tensor& x) {
  return reshape(matmul(cast(weights, x.dtype()), x), {x.size(0), weights.size(1) * x.size(2)});
}

}  // namespace heed::nn
