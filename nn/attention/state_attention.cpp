#include "nn/attention/state_attention.h"

namespace heed::nn {
StateAttention::StateAttention(const char* name, const AttentionHost& host)
    : ProjectedAttention(host), name_(name) {
  if (host.position == "alibi") {
    fail_request("attention '{}' has no scores that ALiBi could bias: take other positions", name);
  }
}

Heads StateAttention::project_state_heads(const Tensor& x, const AttentionContext& context) {
  HEED_CHECK(!context.bias.defined(), "attention {}: it has no scores to be biased", name_);
  Heads heads = project_tokens(x, context);
  heads.k = repeat_heads(heads.k, host().heads);
  heads.v = repeat_heads(heads.v, host().heads);
  return heads;
}

Tensor StateAttention::attend(const Heads& heads, LinearAttentionOptions options,
                              const AttentionContext& context) const {
  if (context.cache == nullptr) {
    return causal_linear_attention(heads.q, heads.k, heads.v, options).out;
  }
  check_cache();
  Tensor& state = context.cache->state(context.layer);
  options.state = state;
  const LinearAttentionResult result = causal_linear_attention(heads.q, heads.k, heads.v, options);
  state = result.state;
  return result.out;
}

double StateAttention::flops(int64_t tokens) const {
  return projection_flops(tokens) + 4.0 * static_cast<double>(tokens * host().heads) *
                                        static_cast<double>(key_channels() * host().head_dim);
}

}  // namespace heed::nn
