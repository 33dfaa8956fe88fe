#include "nn/attention/cross_attention.h"

#include "autograd/ops/attention.h"
#include "autograd/ops/view.h"
#include "nn/attention/lengths.h"

namespace heed::nn {
namespace {

int64_t width_of(const CrossAttentionOptions& o) {
  HEED_CHECK(o.dim > 0 && o.heads > 0 && (o.head_dim > 0 || o.dim % o.heads == 0),
             "cross_attention: heads ({}) must divide dim ({})", o.heads, o.dim);
  return o.heads * (o.head_dim > 0 ? o.head_dim : o.dim / o.heads);
}

int64_t memory_width(const CrossAttentionOptions& o) {
  return o.memory_dim > 0 ? o.memory_dim : o.dim;
}

}  // namespace

void CrossAttentionOptions::options(Options& o) {
  o.field("dim", dim, "features of the input and output", {.min = 1, .required = true});
  o.field("memory_dim", memory_dim, "features of the memory; 0 means dim", {.min = 0});
  o.field("heads", heads, "attention heads", {.min = 1});
  o.field("head_dim", head_dim, "features of a head; 0 means dim / heads", {.min = 0});
  o.field("bias", bias, "biases in the projections");
  o.field("scale", scale, "factor on the scores; 0 means 1/sqrt(head_dim)", {.min = 0});
  o.field("dropout", dropout, "dropout of the attention probabilities", {.min = 0, .below = 1});
  o.check(head_dim > 0 || heads < 1 || dim % heads == 0, "heads",
          fmt::format("heads ({}) must divide dim ({}) unless head_dim is given", heads, dim));
}

CrossAttention::CrossAttention(const CrossAttentionOptions& o, const BlockInit& init)
    : q(o.dim, width_of(o), o.bias, init.in),
      kv(memory_width(o), 2 * width_of(o), o.bias, init.in),
      out(width_of(o), o.dim, o.bias, init.out),
      heads_(o.heads),
      head_dim_(width_of(o) / o.heads),
      scale_(o.scale),
      dropout_(o.dropout) {
  children({{"q", q}, {"kv", kv}, {"out", out}});
}

CrossMemory CrossAttention::project(const Tensor& memory) {
  HEED_CHECK(memory.rank() == 3 && memory.size(2) == kv.weight.size(1),
             "cross_attention: wants a memory [B, M, {}], got {}", kv.weight.size(1), memory);
  const int64_t width = heads_ * head_dim_;
  const std::vector<Tensor> parts = split(kv(memory), {width, width}, 2);
  const auto by_head = [&](const Tensor& part) {
    return transpose(reshape(part, {memory.size(0), memory.size(1), heads_, head_dim_}), 1, 2);
  };
  return {by_head(parts[0]), by_head(parts[1])};
}

Tensor CrossAttention::forward(const Tensor& x, const CrossMemory& memory, const Tensor& lengths) {
  HEED_CHECK(x.rank() == 3 && x.size(2) == q.weight.size(1) && x.size(0) == memory.keys.size(0),
             "cross_attention: wants [{}, N, {}], got {}", memory.keys.size(0), q.weight.size(1),
             x);
  const int64_t batch = x.size(0), tokens = x.size(1);
  const Tensor queries = transpose(reshape(q(x), {batch, tokens, heads_, head_dim_}), 1, 2);
  AttentionSpec spec;
  spec.score.scale = scale_;
  if (training() && dropout_ > 0.0) {
    spec.dropout = dropout_;
    spec.dropout_key = current_key(purpose());
    spec.dropout_row = first_draw(batch);
  }
  if (const Tensor counts = checked_lengths(lengths, batch, memory.keys.size(2));
      counts.defined()) {
    spec.pattern = keys_within_lengths({}, tokens, counts);
  }
  const Tensor mixed = attention(queries, memory.keys, memory.values, spec).out;
  return out(reshape(transpose(mixed, 1, 2), {batch, tokens, heads_ * head_dim_}));
}

double CrossAttention::flops(int64_t queries, int64_t keys) const {
  const auto n = static_cast<double>(queries), m = static_cast<double>(keys);
  return 2.0 * n * static_cast<double>(q.weight.numel() + out.weight.numel()) +
         2.0 * m * static_cast<double>(kv.weight.numel()) +
         4.0 * n * m * static_cast<double>(heads_ * head_dim_);
}

}  // namespace heed::nn
