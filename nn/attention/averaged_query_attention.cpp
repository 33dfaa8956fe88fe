#include "nn/attention/averaged_query_attention.h"

#include <algorithm>
#include <vector>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/view.h"

namespace heed::nn {

Tensor mean_of_last(const Tensor& x, int64_t window) {
  HEED_CHECK(x.rank() == 3 && window >= 1, "mean_of_last: {} of {}", window, x);
  const int64_t tokens = x.size(1), most = std::min(window, tokens);
  if (most == 1) return x;
  Tensor total = x;
  const Tensor none = Tensor::zeros({x.size(0), most - 1, x.size(2)}, x.dtype(), x.device());
  for (int64_t back = 1; back < most; ++back) {
    total = add(total, concat({slice(none, 1, 0, back), slice(x, 1, 0, tokens - back)}, 1));
  }
  std::vector<double> shares;
  for (int64_t t = 0; t < tokens; ++t)
    shares.push_back(1.0 / static_cast<double>(std::min(t + 1, most)));
  return mul(total, cast(Tensor::from(shares, {1, tokens, 1}), x.dtype()).to(x.device()));
}

void AveragedQueryOptions::options(Options& o) {
  o.field("window", window, "tokens whose mean asks, the own one included", {.min = 1});
}

AveragedQueryAttention::AveragedQueryAttention(const AttentionHost& host,
                                               const AveragedQueryOptions& options)
    : ProjectedAttention(host), window_(options.window) {}

Tensor AveragedQueryAttention::averaged(const Tensor& queries,
                                        const AttentionContext& context) const {
  if (context.cache == nullptr) return mean_of_last(queries, window_);
  Tensor& before = context.cache->state(context.layer);
  const Tensor all = before.defined() ? concat({before, queries}, 1) : queries;
  const int64_t count = all.size(1);
  before = contiguous(slice(all, 1, std::max<int64_t>(0, count - window_ + 1), count));
  return slice(mean_of_last(all, window_), 1, count - queries.size(1), count);
}

Tensor AveragedQueryAttention::forward(const Tensor& x, const AttentionContext& context) {
  std::vector<Tensor> parts = own_parts(x);
  parts[0] = averaged(parts[0], context);
  return attend(heads_of(parts, x, context), context, with_context(spec(x, context), context));
}

double AveragedQueryAttention::flops(int64_t tokens) const {
  return projection_flops(tokens) + attention_flops(tokens) +
         static_cast<double>(tokens * window_ * host().heads * host().head_dim);
}

}  // namespace heed::nn
