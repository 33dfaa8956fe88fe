#include "nn/attention/softmax_attention.h"

#include "nn/attention/biased_attention.h"
#include "nn/attention/lengths.h"
#include "nn/init.h"

namespace heed::nn {

void SoftmaxAttentionOptions::options(Options& o) {
  o.field("scale", scale, "factor on the scores; 0 means 1/sqrt(head_dim)", {.min = 0});
  o.field("softcap", softcap, "bound of the scores, by tanh (Gemma 2); 0 means none", {.min = 0});
  o.field("sink", sink, "a learned logit of each head that takes probability and has no value");
}

SoftmaxAttention::SoftmaxAttention(const AttentionHost& host,
                                   const SoftmaxAttentionOptions& options)
    : ProjectedAttention(host), options_(options) {
  if (!options_.sink) return;
  sink = Tensor::empty({this->host().heads});
  parameters({{"sink", sink, init::zeros()}});
}

Tensor SoftmaxAttention::forward(const Tensor& x, const AttentionContext& context) {
  AttentionSpec how = spec(x, context);
  how.score.scale = options_.scale;
  how.score.softcap = options_.softcap;
  how.score.sink = sink;
  if (!per_head(context)) {
    const Tensor packed = project_packed(x, context);
    return out(attention_qkv(packed, host().heads, host().kv_heads, how));
  }
  if (!context.bias.defined() && !context.lengths.defined()) return attend(x, context, how);
  const Heads heads = project(x, context);
  if (token_split() != nullptr) return merge(attended(heads, with_context(how, context)));
  if (context.bias.defined()) {
    return merge(biased_attention(heads.q, heads.k, heads.v, context.bias, context.lengths, how));
  }
  return merge(attention_of_lengths(heads.q, heads.k, heads.v, context.lengths, how));
}

void SoftmaxAttention::split_heads(const TensorSplitPointer& split) {
  split_projections(split);
  if (sink.defined()) keep_shard(sink, heads_shard(*split, 0));
}

double SoftmaxAttention::flops(int64_t tokens) const {
  return projection_flops(tokens) + attention_flops(tokens);
}

}  // namespace heed::nn
