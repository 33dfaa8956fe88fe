#include "nn/attention/linear_attention.h"

#include <cmath>
#include <numbers>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/norm.h"
#include "autograd/ops/view.h"
#include "nn/attention/lengths.h"

namespace heed::nn {
namespace {

/// [B, 1, N, 1] of ones, and zeros behind each row's length.
Tensor keys_within(const Tensor& lengths, const Tensor& keys) {
  const Tensor within = by_length(lengths, keys.size(2), 1.0, 0.0, keys.device());
  return cast(unsqueeze(within, 1), keys.dtype());
}

}  // namespace

void LinearAttentionOptions::options(Options& o) {
  o.field("feature", feature,
          "feature map of queries and keys: elu(x) + 1, relu(x), cosFormer's, x",
          {.one_of = {"elu", "relu", "cosformer", "identity"}});
  o.field("normalise", normalise,
          "by the sum of the weights, by the RMS of a head's output (which suits `identity`, whose "
          "weights have both signs), or not at all",
          {.one_of = {"weights", "rms", "none"}});
  o.field("span", span,
          "cosformer: tokens over which the cosine falls to 0; 0 means as many as there are, where "
          "all are seen at once",
          {.min = 0});
  o.check(feature != "identity" || normalise != "weights", "normalise",
          "weights of both signs can add up to nothing: take `rms` or `none`");
}

LinearAttention::LinearAttention(const AttentionHost& host, const LinearAttentionOptions& options)
    : StateAttention("linear_attention", host), options_(options) {
  if (host.causal && options.feature == "cosformer" && options.span == 0) {
    fail_request(
        "attention 'linear_attention': cosformer in a causal model needs `span`, the most tokens "
        "there can "
        "be");
  }
}

int64_t LinearAttention::key_channels() const {
  return host().head_dim * (options_.feature == "cosformer" ? 2 : 1);
}

Tensor LinearAttention::feature(const Tensor& x) const {
  if (options_.feature == "elu") return add(elu(x), 1.0);
  return options_.feature == "identity" ? x : relu(x);
}

Heads LinearAttention::with_angles(const Heads& heads, const Tensor& positions) const {
  const std::vector<int64_t> ids = positions.to_vector<int64_t>();
  const auto count = static_cast<int64_t>(ids.size());
  const int64_t span = options_.span > 0 ? options_.span : count;
  std::vector<double> cosines, sines;
  for (const int64_t id : ids) {
    HEED_CHECK(id < span, "attention linear_attention: token {} is beyond cosformer's span of {}",
               id, span);
    const double angle =
        std::numbers::pi * static_cast<double>(id + 1) / (2.0 * static_cast<double>(span));
    cosines.push_back(std::cos(angle));
    sines.push_back(std::sin(angle));
  }
  const auto beside_heads = [&](const std::vector<double>& values) {
    return cast(Tensor::from(values, {count, 1}), heads.q.dtype()).to(heads.q.device());
  };
  const Tensor c = beside_heads(cosines), s = beside_heads(sines);
  const auto both = [&](const Tensor& x) { return concat({mul(x, c), mul(x, s)}, 3); };
  return {both(heads.q), both(heads.k), heads.v};
}

Tensor LinearAttention::forward(const Tensor& x, const AttentionContext& context) {
  Heads heads = project_state_heads(x, context);
  heads.q = feature(heads.q);
  heads.k = feature(heads.k);
  if (options_.feature == "cosformer") heads = with_angles(heads, positions(x, context));
  if (context.cache != nullptr) check_cache();
  const Tensor lengths = checked_lengths(context.lengths, x.size(0), x.size(1));
  if (lengths.defined() && !host().causal) heads.k = mul(heads.k, keys_within(lengths, heads.k));
  const bool weights = options_.normalise == "weights";
  Tensor y = host().causal ? attend(heads, {.normalise = weights}, context)
                           : bidirectional_linear_attention(heads.q, heads.k, heads.v, weights);
  if (options_.normalise == "rms") y = rms_norm(y, {}, host().norm_eps);
  return merge(y);
}

}  // namespace heed::nn
