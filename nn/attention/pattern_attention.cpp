#include "nn/attention/pattern_attention.h"

#include <cmath>

namespace heed::nn {

AttentionPattern PatternAttention::whole_pattern(const PatternRequest& request) const {
  const AttentionPattern own = AttentionPattern::globals(request.globals, pattern(request));
  return host().causal ? AttentionPattern::causal(request.offset) & own : own;
}

Tensor PatternAttention::forward(const Tensor& x, const AttentionContext& context) {
  HEED_CHECK(x.rank() == 3, "attention: wants [B, N, C], got {}", x);
  const int64_t tokens = whole_tokens(x) - context.globals;
  const int64_t offset = context.cache ? context.cache->stored(context.layer) : 0;
  HEED_CHECK(context.globals == 0 || !host().causal, "attention: global tokens in a causal model");
  PatternRequest request{tokens,       offset + tokens, offset,
                         context.grid, context.globals, context.lengths.defined()};
  if (request.grid.rank() == 0) request.grid = {tokens};
  HEED_CHECK(request.grid.numel() == tokens, "attention: {} tokens on a map of {}", tokens,
             request.grid);
  AttentionSpec how = spec(x, context);
  how.pattern = whole_pattern(request);
  if (!context.pairs.is_dense()) how.pattern = how.pattern & context.pairs;
  add_terms(how.score, request);
  how = with_context(std::move(how), context);
  if (has_query_terms()) {
    const Heads heads = project(x, context);
    add_query_terms(how.score, heads.q, request);
    return merge(attended(heads, how));
  }
  if (!per_head(context)) {
    const Tensor packed = project_packed(x, context);
    return out(attention_qkv(packed, host().heads, host().kv_heads, how));
  }
  return attend(x, context, how, key_span());
}

void PatternAttention::split_heads(const TensorSplitPointer& split) { split_projections(split); }

PatternRequest PatternAttention::likely_request(int64_t tokens) const {
  for (const int64_t globals : {0, 1}) {
    const int64_t pixels = tokens - globals;
    const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(pixels))));
    if (host().causal || side * side != pixels) continue;
    return {pixels, pixels, 0, {side, side}, globals};
  }
  return {tokens, tokens, 0, {tokens}};
}

double PatternAttention::flops(int64_t tokens) const { return flops(likely_request(tokens)); }

double PatternAttention::flops(const PatternRequest& request) const {
  const int64_t tokens = request.globals + request.queries;
  const int64_t pairs =
      kernels::attention_pairs(whole_pattern(request), {1, host().heads, tokens, tokens});
  return projection_flops(tokens) +
         4.0 * static_cast<double>(pairs) * static_cast<double>(host().head_dim);
}

}  // namespace heed::nn
