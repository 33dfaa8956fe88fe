#include "nn/attention/projected_attention.h"

#include "autograd/ops/view.h"
#include "nn/attention/lengths.h"
#include "nn/layers/alibi.h"
#include "nn/layers/learned_position.h"
#include "nn/token_split.h"

namespace heed::nn {
namespace {

int64_t packed_width(const AttentionHost& host) {
  return (host.heads + 2 * host.kv_heads) * host.head_dim;
}

}  // namespace

Tensor repeat_heads(const Tensor& x, int64_t heads) {
  if (x.size(1) == heads) return x;
  const int64_t group = heads / x.size(1);
  const Tensor wide = expand(unsqueeze(x, 2), {x.size(0), x.size(1), group, x.size(2), x.size(3)});
  return reshape(wide, {x.size(0), heads, x.size(2), x.size(3)});
}

ProjectedAttention::ProjectedAttention(const AttentionHost& given)
    : qkv(given.resolved().dim, packed_width(given.resolved()), given.bias || given.qkv_bias,
          given.init.in),
      out(given.resolved().heads * given.resolved().head_dim, given.dim,
          given.bias || given.out_bias, given.init.out),
      q_norm({.dim = given.resolved().head_dim, .eps = given.norm_eps, .affine = given.qk_norm}),
      k_norm({.dim = given.resolved().head_dim, .eps = given.norm_eps, .affine = given.qk_norm}),
      host_(given.resolved()),
      all_heads_(host_.heads) {
  HEED_CHECK(host_.position != "alibi" || host_.causal,
             "attention: alibi biases distances to the past; they need a causal model");
  children({{"qkv", qkv}, {"out", out}});
  if (host_.qk_norm) children({{"q_norm", q_norm}, {"k_norm", k_norm}});
}

Tensor ProjectedAttention::positions(const Tensor& x, const AttentionContext& context) const {
  if (context.positions.defined()) return context.positions;
  if (token_split() != nullptr) return token_split()->positions(whole_tokens(x));
  return position_ids(context.cache ? context.cache->length() : 0, x.size(1));
}

RotaryOptions ProjectedAttention::rotation() const {
  return {host_.rope_base, host_.rotary_dim, host_.rope_interleaved, host_.rope_scaling.resolved()};
}

Tensor ProjectedAttention::projected(const Tensor& x) {
  HEED_CHECK(x.rank() == 3 && x.size(2) == host_.dim, "attention: wants [B, N, {}], got {}",
             host_.dim, x);
  return qkv(x);
}

std::vector<Tensor> ProjectedAttention::own_parts(const Tensor& x) {
  const Tensor own = projected(x);
  const int64_t width = host_.heads * host_.head_dim;
  const int64_t piece = (own.size(2) - width) / 2;
  const std::vector<Tensor> parts = split(own, {width, piece, piece}, 2);
  if (sharers_ == 1) return parts;
  const TensorSplit& sharers = region_->neighbours(sharers_);
  return {parts[0], sharers.whole(parts[1], host_.head_dim),
          sharers.whole(parts[2], host_.head_dim)};
}

Tensor ProjectedAttention::project_packed(const Tensor& x, const AttentionContext& context) {
  const Tensor packed = sharers_ == 1 ? projected(x) : concat(own_parts(x), 2);
  if (host_.position != "rotary") return packed;
  return rotary_qkv(packed, host_.heads, host_.kv_heads, positions(x, context), rotation());
}

Heads ProjectedAttention::project_tokens(const Tensor& x, const AttentionContext& context) {
  return heads_of(own_parts(x), x, context);
}

Heads ProjectedAttention::heads_of(const std::vector<Tensor>& parts, const Tensor& x,
                                   const AttentionContext& context) {
  const int64_t batch = x.size(0), tokens = x.size(1);
  const auto by_head = [&](const Tensor& part, int64_t heads) {
    return reshape(part, {batch, tokens, heads, host_.head_dim});
  };
  Heads heads{by_head(parts[0], host_.heads), by_head(parts[1], host_.kv_heads),
              by_head(parts[2], host_.kv_heads)};
  if (host_.qk_norm) {
    heads.q = q_norm(heads.q);
    heads.k = k_norm(heads.k);
  }
  heads = {transpose(heads.q, 1, 2), transpose(heads.k, 1, 2), transpose(heads.v, 1, 2)};
  if (host_.position == "rotary") {
    const Tensor ids = positions(x, context);
    heads.q = rotary(heads.q, ids, rotation());
    heads.k = rotary(heads.k, ids, rotation());
  }
  return heads;
}

Heads ProjectedAttention::project(const Tensor& x, const AttentionContext& context) {
  Heads heads = project_tokens(x, context);
  if (context.cache == nullptr) return heads;
  check_cache();
  std::tie(heads.k, heads.v) = context.cache->append(context.layer, heads.k, heads.v);
  return heads;
}

int64_t ProjectedAttention::whole_tokens(const Tensor& x) const {
  return x.size(1) * (token_split() != nullptr ? token_split()->parts() : 1);
}

void ProjectedAttention::check_cache() const {
  HEED_CHECK(token_split() == nullptr, "attention: a key-value cache of tokens that ranks share");
  HEED_CHECK(!recording(), "attention: a key-value cache is for inference, without recording");
  HEED_CHECK(host_.causal, "attention: a key-value cache needs a causal model");
}

Tensor ProjectedAttention::attended(const Heads& heads, const AttentionSpec& how) const {
  const auto& [q, k, v] = heads;
  return (token_split() != nullptr ? token_split()->attention(q, k, v, how)
                                   : attention(q, k, v, how))
      .out;
}

Tensor ProjectedAttention::attend(const Tensor& x, const AttentionContext& context,
                                  const AttentionSpec& how, const KeySpan& span) {
  return attend(project_tokens(x, context), context, how, span);
}

Tensor ProjectedAttention::attend(const Heads& heads, const AttentionContext& context,
                                  const AttentionSpec& how, const KeySpan& span) {
  if (context.cache == nullptr) return merge(attended(heads, how));
  check_cache();
  return merge(context.cache->attend(context.layer, heads.q, heads.k, heads.v, how, span));
}

Tensor ProjectedAttention::merge(const Tensor& heads) {
  return out(reshape(transpose(heads, 1, 2), {heads.size(0), heads.size(2), out.weight.size(1)}));
}

AttentionSpec ProjectedAttention::spec(const Tensor& x, const AttentionContext& context) const {
  AttentionSpec spec;
  if (host_.causal) {
    spec.pattern = AttentionPattern::causal(context.cache ? context.cache->length() : 0);
  }
  if (!context.pairs.is_dense()) spec.pattern = spec.pattern & context.pairs;
  if (host_.position == "alibi") {
    const std::vector<float> slopes = alibi_slopes(all_heads_);
    spec.score.alibi.assign(slopes.begin() + first_head_,
                            slopes.begin() + first_head_ + host_.heads);
  }
  if (training() && host_.dropout > 0.0) {
    spec.dropout = host_.dropout;
    spec.dropout_key = current_key(purpose());
    spec.dropout_row = first_draw(x.size(0));
    spec.dropout_head = static_cast<uint64_t>(first_head_);
  }
  return spec;
}

AttentionSpec ProjectedAttention::with_context(AttentionSpec how, const AttentionContext& context) {
  if (context.bias.defined()) {
    HEED_CHECK(!how.score.bias.defined(), "attention: two biases of the scores");
    how.score.bias = unsqueeze(context.bias, 0);
  }
  if (context.lengths.defined()) how.pattern = within_lengths(how.pattern, context.lengths);
  return how;
}

void ProjectedAttention::split_projections(const TensorSplitPointer& split) {
  const int64_t parts = split->parts();
  const bool sharing = parts > host_.kv_heads;
  if (host_.heads % parts != 0 ||
      (sharing ? parts % host_.kv_heads : host_.kv_heads % parts) != 0) {
    fail_request(
        "{} ranks cannot share {} heads with {} key and value heads: they must divide the heads, "
        "and divide or be a multiple of the latter",
        parts, host_.heads, host_.kv_heads);
  }
  if (sharing) sharers_ = parts / host_.kv_heads;
  if (host_.head_dim < sharers_) {
    fail_request("{} ranks cannot share a key and value head of {} features", sharers_,
                 host_.head_dim);
  }
  const int64_t width = host_.heads * host_.head_dim, kv_width = host_.kv_heads * host_.head_dim;
  qkv.split_columns(split, {width, kv_width, kv_width});
  out.split_rows(split);
  host_.heads /= parts;
  host_.kv_heads = sharing ? 1 : host_.kv_heads / parts;
  first_head_ = split->part() * host_.heads;
  region_ = split;
}

double ProjectedAttention::projection_flops(int64_t tokens) const {
  return 2.0 * static_cast<double>(tokens) *
         static_cast<double>(qkv.weight.numel() + out.weight.numel());
}

double ProjectedAttention::attention_flops(int64_t tokens) const {
  const auto n = static_cast<double>(tokens);
  const double pairs = host_.causal ? n * (n + 1) / 2 : n * n;
  return 4.0 * pairs * static_cast<double>(host_.heads * host_.head_dim);
}

}  // namespace heed::nn
