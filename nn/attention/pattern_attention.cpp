#include "nn/attention/pattern_attention.h"

#include <cmath>

#include "autograd/ops/view.h"

namespace heed::nn {

AttentionPattern PatternAttention::whole_pattern(const PatternRequest& request) const {
  const AttentionPattern own = pattern(request);
  return host().causal ? AttentionPattern::causal(request.offset) & own : own;
}

Tensor PatternAttention::forward(const Tensor& x, const AttentionContext& context) {
  HEED_CHECK(x.rank() == 3, "attention: wants [B, N, C], got {}", x);
  const int64_t tokens = x.size(1), offset = context.cache ? context.cache->length() : 0;
  PatternRequest request{tokens, offset + tokens, offset, context.grid};
  if (request.grid.rank() == 0) request.grid = {tokens};
  HEED_CHECK(request.grid.numel() == tokens, "attention: {} tokens on a map of {}", tokens,
             request.grid);
  AttentionSpec how = spec(context);
  how.pattern = whole_pattern(request);
  add_terms(how.score, request);
  if (context.bias.defined()) {
    HEED_CHECK(!how.score.bias.defined(), "attention: two biases of the scores");
    how.score.bias = unsqueeze(context.bias, 0);
  }
  if (context.lengths.defined()) {
    how.pattern = how.pattern & AttentionPattern::lengths(context.lengths.to_vector<int64_t>());
  }
  if (!per_head(context)) {
    const Tensor packed = project_packed(x, context);
    return out(attention_qkv(packed, host().heads, host().kv_heads, how));
  }
  const Heads heads = project(x, context);
  return merge(attention(heads.q, heads.k, heads.v, how).out);
}

double PatternAttention::flops(int64_t tokens) const {
  PatternRequest request{tokens, tokens, 0, {tokens}};
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(tokens))));
  if (!host().causal && side * side == tokens) request.grid = {side, side};
  const int64_t pairs =
      kernels::attention_pairs(whole_pattern(request), {1, host().heads, tokens, tokens});
  return projection_flops(tokens) +
         4.0 * static_cast<double>(pairs) * static_cast<double>(host().head_dim);
}

}  // namespace heed::nn
