#include "nn/attention/linformer_attention.h"

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/view.h"
#include "nn/init.h"
#include "nn/token_split.h"

namespace heed::nn {
namespace {

/// This rank's tokens as one run.
TokenRun own_run(const TokenSplit& split, int64_t tokens) {
  if (!split.evenly_spaced()) {
    fail_request(
        "attention 'linformer' shares tokens in the contiguous and the striped layout alone: its "
        "projections go by token");
  }
  const std::vector<int64_t> own = split.positions(tokens).to_vector<int64_t>();
  return {own.front(), own.size() > 1 ? own[1] - own[0] : 1, std::ssize(own)};
}

}  // namespace

void LinformerOptions::options(Options& o) {
  o.field("tokens", tokens, "the longest sequence: columns of the projections", {.min = 1});
  o.field("projected", projected, "keys and values that are left of all tokens'", {.min = 1});
  o.field("shared", shared, "one projection for keys and values");
}

LinformerAttention::LinformerAttention(const AttentionHost& host, const LinformerOptions& options)
    : ProjectedAttention(host), options_(options) {
  if (host.causal)
    fail_request(
        "attention 'linformer': its keys are sums over all tokens, which a "
        "causal model may not see");
  // Rows of projections add up tokens: the paper's entries are of variance 1 / k.
  const double std = 1.0 / std::sqrt(static_cast<double>(options_.projected));
  key_projection = Tensor::empty({options_.projected, options_.tokens});
  parameters({{"key_projection", key_projection, init::normal(std)}});
  if (options_.shared) return;
  value_projection = Tensor::empty({options_.projected, options_.tokens});
  parameters({{"value_projection", value_projection, init::normal(std)}});
}

Tensor LinformerAttention::projected(const Tensor& projection, const Tensor& x) const {
  const Tensor columns = slice(projection, 1, 0, x.size(2));
  return matmul(cast(columns, x.dtype()), x);
}

Tensor LinformerAttention::forward(const Tensor& x, const AttentionContext& context) {
  HEED_CHECK(!context.lengths.defined() && !context.bias.defined() && context.cache == nullptr,
             "attention 'linformer': no lengths, biases or cache: its keys are sums over tokens");
  const Heads heads = project_tokens(x, context);
  const TokenSplit* split = token_split();
  const int64_t tokens = x.size(1) * (split ? split->parts() : 1);
  if (tokens > options_.tokens || (split && tokens != options_.tokens)) {
    fail_request("attention 'linformer': {} tokens, its projections are for {}{}", tokens,
                 options_.tokens, split ? ", which ranks share" : "");
  }
  Tensor keys = projected(key_projection, heads.k);
  Tensor values = projected(options_.shared ? key_projection : value_projection, heads.v);
  AttentionSpec how = spec(x, context);
  if (split) {
    // Both in one message.
    const Tensor both = split->sum(stack({keys, values}, 0));
    keys = select(both, 0, 0), values = select(both, 0, 1);
    how.dropout_queries = own_run(*split, tokens);
  }
  return merge(attention(heads.q, keys, values, how).out);
}

double LinformerAttention::flops(int64_t tokens) const {
  const double pairs = static_cast<double>(tokens) * static_cast<double>(options_.projected);
  return projection_flops(tokens) +
         4.0 * pairs * static_cast<double>((host().heads + host().kv_heads) * host().head_dim);
}

void LinformerAttention::keep_own_tokens(const TokenSplit& split) {
  const int64_t tokens = options_.tokens, parts = split.parts();
  if (parts == 1) return;
  const TokenRun run = own_run(split, tokens);
  Shard shard{.dim = 1,
              .groups = {tokens},
              .part = run.first / run.count,
              .parts = parts,
              .over = SharedOver::sequence};
  if (run.step > 1) {
    shard.groups.assign(static_cast<size_t>(run.count), run.step);
    shard.part = run.first;
  }
  keep_shard(key_projection, shard);
  if (!options_.shared) keep_shard(value_projection, shard);
}

}  // namespace heed::nn
