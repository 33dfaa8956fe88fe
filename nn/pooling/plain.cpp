#include "nn/pooling/plain.h"

#include <vector>

#include "autograd/ops/index.h"
#include "autograd/ops/view.h"
#include "autograd/trace.h"
#include "nn/attention/lengths.h"

namespace heed::nn {
namespace {

// Token lengths[b] - 1 of each row of x [B, N, C] -> [B, C].
Tensor last_tokens(const Tensor& x, const Tensor& lengths) {
  const Tensor counts = checked_lengths(lengths, x.size(0), x.size(1));
  if (!counts.defined()) return select(x, 1, x.size(1) - 1);
  trace::AsOne one;
  std::vector<int64_t> places;
  for (const int64_t count : counts.to_vector<int64_t>())
    places.insert(places.end(), static_cast<size_t>(x.size(2)), std::max<int64_t>(count, 1) - 1);
  const Tensor y = squeeze(gather(x, 1, Tensor::from(places, {x.size(0), 1, x.size(2)})), 1);
  one.report("last_of_lengths", {x, counts}, {y});
  return y;
}

}  // namespace

Tensor MeanPooling::forward(const Tensor& x, const Tensor& lengths) {
  return mean_of_lengths(x, lengths);
}

Tensor LastPooling::forward(const Tensor& x, const Tensor& lengths) {
  if (!host_.bidirectional) return last_tokens(x, lengths);
  const int64_t half = host_.dim / 2;
  return concat(
      {last_tokens(slice(x, 2, 0, half), lengths), select(slice(x, 2, half, host_.dim), 1, 0)}, 1);
}

}  // namespace heed::nn
