#include "nn/layers/sequence_pool.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/view.h"
#include "nn/attention/lengths.h"

namespace heed::nn {
namespace {

// Far below any score, and finite: a row without tokens has no NaN.
constexpr double kMasked = -1e30;

}  // namespace

void SequencePoolOptions::options(Options& o) {
  o.field("dim", dim, "features of a token", {.min = 1, .required = true});
}

SequencePool::SequencePool(const SequencePoolOptions& o, Init weight_init)
    : score(o.dim, 1, true, std::move(weight_init)) {
  children({{"score", score}});
}

Tensor SequencePool::forward(const Tensor& x, const Tensor& lengths) {
  HEED_CHECK(x.rank() == 3, "sequence_pool: wants [B, N, C], got {}", x);
  const Tensor counts = checked_lengths(lengths, x.size(0), x.size(1));
  Tensor scores = score(x);  // [B, N, 1]
  if (counts.defined()) {
    const Tensor mask = by_length(counts.to_vector<int64_t>(), x.size(1), 0.0, kMasked);
    scores = add(scores, cast(mask, scores.dtype()));
  }
  return squeeze(matmul(transpose(softmax(scores, 1), 1, 2), x), 1);
}

double SequencePool::flops(int64_t tokens) const {
  return 4.0 * static_cast<double>(score.weight.numel() * tokens);
}

}  // namespace heed::nn
