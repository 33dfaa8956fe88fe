#include "nn/attention/selective_attention.h"

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "kernels/copy/copy.h"
#include "nn/attention/lengths.h"
#include "nn/init.h"
#include "nn/token_split.h"

namespace heed::nn {
namespace {

/// [B, N, 1 or H] -> [B, 1 or H, N, 1], to multiply heads [B, H, N, D] by.
Tensor by_head(const Tensor& temperature) { return unsqueeze(transpose(temperature, 1, 2), 3); }

Tensor scaled(const Tensor& heads, const Tensor& temperature) {
  return mul(heads, cast(by_head(temperature), heads.dtype()));
}

}  // namespace

void SelectiveOptions::options(Options& o) {
  o.field("query", query, "temperatures of queries: how spiky a row is");
  o.field("value", value, "temperatures of values: how much a token may say");
  o.field("key", key, "temperatures of keys");
  o.field("token", token,
          "a temperature's function of the token: of its projected features, of its own by two "
          "layers, or none",
          {.one_of = {"shared", "mlp", "none"}});
  o.field("hidden", hidden, "mlp: hidden features; 0 means half of the model's", {.min = 0});
  o.field("gate", gate,
          "what log(n) is times: sigmoid(alpha), exp(-exp(alpha)), or alpha itself (linear)",
          {.one_of = {"sigmoid", "expexp", "linear"}});
  o.field("alpha", alpha,
          "alpha's first value: 0 from scratch; to tune a checkpoint -6 (sigmoid), 2 (expexp) or "
          "1e-5 (linear), which change next to nothing");
  o.field("value_position", value_position, "a term of the position in the values' temperatures");
  o.field("per_head", per_head, "a temperature of each head, not one for all");
  o.check(query || value || key, "query", "selective attention without any temperature");
  o.check(
      token != "none" || !value || value_position, "token",
      "without a term of the token or of the position values have no temperature: `value: false`");
}

Temperature::Temperature(const SelectiveOptions& options, bool position, int64_t dim, int64_t heads,
                         int64_t features, const BlockInit& init)
    : heads_(heads), per_head_(options.per_head), gate_(options.gate) {
  const int64_t rows = per_head_ ? heads : 1;
  if (options.token != "none") {
    int64_t width = features;
    if (options.token == "mlp") {
      width = options.hidden > 0 ? options.hidden : dim / 2;
      up = std::make_unique<Linear>(dim, width, true, init.in);
      children({{"up", *up}});
    }
    weight = Tensor::empty({rows, width});
    bias = Tensor::empty({rows});
    parameters({{"weight", weight, init::zeros()}, {"bias", bias, init::zeros()}});
  }
  if (!position) return;
  alpha = Tensor::empty({1});
  parameters({{"alpha", alpha, init::constant(options.alpha)}});
}

Tensor Temperature::forward(const Tensor& x, const Tensor& projection, const Tensor& log_count) {
  Tensor tau;
  if (weight.defined()) {
    Tensor f = linear(up ? up->forward(x, Activation::gelu) : gelu(projection), weight);
    // The projection's features are those of this rank's heads.
    if (region_ && !up) f = region_->tokens()->sum(f);
    tau = tanh(add(f, bias));
  }
  if (alpha.defined()) {
    const Tensor gate = gate_ == "sigmoid"  ? sigmoid(alpha)
                        : gate_ == "expexp" ? exp(neg(exp(alpha)))
                                            : alpha;
    const Tensor grown = mul(unsqueeze(log_count, log_count.rank()), gate);  // [N, 1] or [B, 1, 1]
    tau = tau.defined() ? add(tau, grown)
                        : expand(grown, {x.size(0), x.size(1), per_head_ ? heads_ : 1});
  }
  tau = add(tau, 1.0);
  if (!region_ || !per_head_) return tau;
  const int64_t own = heads_ / region_->parts();
  return slice(tau, 2, region_->part() * own, (region_->part() + 1) * own);
}

void Temperature::split(const TensorSplitPointer& split) {
  if (weight.defined() && !up) keep_shard(weight, split->shard(1, {weight.size(1)}));
  region_ = split;
}

double Temperature::flops_per_token() const {
  return 2.0 * static_cast<double>((weight.defined() ? weight.numel() : 0) +
                                   (up ? up->weight.numel() : 0));
}

SelectiveAttention::SelectiveAttention(const AttentionHost& given, const SelectiveOptions& options)
    : ProjectedAttention(given) {
  const AttentionHost& h = host();
  const auto add_temperature = [&](const char* name, std::unique_ptr<Temperature>& into, bool on,
                                   bool position, int64_t heads) {
    if (!on) return;
    into =
        std::make_unique<Temperature>(options, position, h.dim, heads, heads * h.head_dim, h.init);
    children({{name, *into}});
  };
  add_temperature("query_temperature", query_temperature, options.query, true, h.heads);
  add_temperature("key_temperature", key_temperature, options.key, true, h.kv_heads);
  add_temperature("value_temperature", value_temperature, options.value, options.value_position,
                  h.kv_heads);
}

Tensor SelectiveAttention::log_count(const Tensor& x, const AttentionContext& context) const {
  const DType wide = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  if (host().causal) {
    return log(add(kernels::cast(positions(x, context), wide).to(x.device()), 1.0));
  }
  if (!context.lengths.defined()) {
    return log(Tensor::full({1}, static_cast<double>(whole_tokens(x)), wide, x.device()));
  }
  const Tensor lengths = floating_lengths(context.lengths, wide, x.device());
  return unsqueeze(log(clamp(lengths, 1.0, INFINITY)), 1);
}

Tensor SelectiveAttention::forward(const Tensor& x, const AttentionContext& context) {
  const std::vector<Tensor> parts = own_parts(x);
  const Tensor count = log_count(x, context);
  Heads heads = heads_of(parts, x, context);
  if (query_temperature) heads.q = scaled(heads.q, query_temperature->forward(x, parts[0], count));
  if (key_temperature) heads.k = scaled(heads.k, key_temperature->forward(x, parts[1], count));
  if (value_temperature) heads.v = scaled(heads.v, value_temperature->forward(x, parts[2], count));
  return attend(heads, context, with_context(spec(x, context), context));
}

void SelectiveAttention::split_heads(const TensorSplitPointer& split) {
  if (split->parts() > host().kv_heads && (key_temperature || value_temperature)) {
    fail_request(
        "{} ranks cannot share {} key and value heads with temperatures of their own: selective "
        "attention wants no more ranks than those",
        split->parts(), host().kv_heads);
  }
  split_projections(split);
  for (auto* temperature : {&query_temperature, &key_temperature, &value_temperature})
    if (*temperature) (*temperature)->split(split);
}

double SelectiveAttention::flops(int64_t tokens) const {
  double temperatures = 0.0;
  for (const auto* temperature : {&query_temperature, &key_temperature, &value_temperature})
    if (*temperature) temperatures += (*temperature)->flops_per_token();
  return projection_flops(tokens) + static_cast<double>(tokens) * temperatures +
         attention_flops(tokens);
}

Tensor spikiness(const Tensor& probabilities) {
  return div(sum(abs(probabilities), {-1}),
             mul(sum(square(probabilities), {-1}), static_cast<double>(probabilities.size(-1))));
}

}  // namespace heed::nn
