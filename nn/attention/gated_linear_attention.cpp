#include "nn/attention/gated_linear_attention.h"

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/norm.h"
#include "autograd/ops/view.h"

namespace heed::nn {

void GatedLinearOptions::options(Options& o) {
  o.field("gate", gate,
          "what the state decays by: a fixed factor of each head (retention), a factor of each "
          "token, one of each token and channel",
          {.one_of = {"head", "token", "channel"}});
  o.field("gate_rank", gate_rank, "channel: rank of the gates' projection", {.min = 1});
  o.field("gate_root", gate_root, "token, channel: the root of the sigmoid that is the factor",
          {.above = 0});
  o.field("output_gate", output_gate, "multiply the output by silu of a projection");
}

GatedLinearAttention::GatedLinearAttention(const AttentionHost& given,
                                           const GatedLinearOptions& options)
    : StateAttention("gated_linear", given), options_(options) {
  const int64_t width = host().heads * host().head_dim;
  if (options.gate == "token") {
    gate = std::make_unique<Linear>(host().dim, host().heads, true, host().init.in);
  } else if (options.gate == "channel") {
    gate_down = std::make_unique<Linear>(host().dim, options.gate_rank, false, host().init.in);
    gate = std::make_unique<Linear>(options.gate_rank, width, true, host().init.in);
    children({{"gate_down", *gate_down}});
  }
  if (gate) children({{"gate", *gate}});
  if (!options.output_gate) return;
  output_gate = std::make_unique<Linear>(host().dim, width, false, host().init.in);
  children({{"output_gate", *output_gate}});
}

/// [B, H, N] or [B, H, N, D], in f32 at least.
Tensor GatedLinearAttention::log_decay(const Tensor& x) const {
  const int64_t batch = x.size(0), tokens = x.size(1), heads = host().heads;
  const DType wide = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  if (options_.gate == "head") {
    std::vector<double> logs;
    for (int64_t h = 0; h < heads; ++h)
      logs.push_back(std::log1p(-std::exp2(-5.0 - static_cast<double>(first_head() + h))));
    const Tensor own = cast(Tensor::from(logs, {1, heads, 1}), wide).to(x.device());
    return expand(own, {batch, heads, tokens});
  }
  const Tensor logits = cast(gate->forward(gate_down ? gate_down->forward(x) : x), wide);
  const Tensor logs = mul(softplus(neg(logits)), -1.0 / options_.gate_root);
  if (options_.gate == "token") return transpose(logs, 1, 2);
  return transpose(reshape(logs, {batch, tokens, heads, host().head_dim}), 1, 2);
}

Tensor GatedLinearAttention::forward(const Tensor& x, const AttentionContext& context) {
  Heads heads = project_state_heads(x, context);
  heads.q = mul(heads.q, 1.0 / std::sqrt(static_cast<double>(host().head_dim)));
  Tensor y = rms_norm(attend(heads, {.log_decay = log_decay(x)}, context), {}, host().norm_eps);
  if (!output_gate) return merge(y);
  y = reshape(transpose(y, 1, 2), {x.size(0), x.size(1), host().heads * host().head_dim});
  return out(swiglu(output_gate->forward(x), y));
}

void GatedLinearAttention::split_heads(const TensorSplitPointer& split) {
  split_projections(split);
  if (gate) gate->split_columns(split);
  if (output_gate) output_gate->split_columns(split);
}

double GatedLinearAttention::flops(int64_t tokens) const {
  double gates = 0.0;
  for (const Linear* linear : {gate_down.get(), gate.get(), output_gate.get()})
    if (linear) gates += 2.0 * static_cast<double>(linear->weight.numel());
  return StateAttention::flops(tokens) + static_cast<double>(tokens) * gates;
}

}  // namespace heed::nn
