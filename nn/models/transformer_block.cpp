#include "nn/models/transformer_block.h"

#include "nn/attention/registry.h"

namespace heed::nn {

AttentionHost attention_host(const TransformerBlockOptions& o) {
  AttentionHost host;
  host.dim = o.dim;
  host.heads = o.heads;
  host.head_dim = o.head_dim;
  host.bias = o.bias && o.qkv_bias;
  host.out_bias = o.bias && o.out_bias;
  host.causal = o.causal;
  host.position = o.position;
  host.norm_eps = o.norm_eps;
  host.dropout = o.attention_dropout;
  host.layer = o.layer;
  host.layers = o.layers;
  host.init = {o.init, o.init};
  return host;
}

TransformerBlock::TransformerBlock(const TransformerBlockOptions& o)
    : norm1(make_norm(o.norm, o.dim, o.norm_eps, o.bias)),
      norm2(make_norm(o.norm, o.dim, o.norm_eps, o.bias)),
      attn(make_attention(o.attention, attention_host(o))),
      mlp(make_feed_forward(
          o.mlp, o.dim, o.hidden, o.bias && o.mlp_bias, o.mlp_dropout,
          o.mlp_init ? BlockInit{o.mlp_init, o.mlp_init} : BlockInit{o.init, o.init})),
      dropout1(o.dropout),
      dropout2(o.dropout),
      drop_path1(o.drop_path),
      drop_path2(o.drop_path),
      norm_first_(o.norm_first),
      normed_stream_(o.normed_stream) {
  HEED_CHECK(norm_first_ || !normed_stream_,
             "transformer block: with the norm last, the stream is normed anyway");
  children({{"norm1", *norm1}, {"attn", *attn}, {"norm2", *norm2}, {"mlp", *mlp}});
  children({{"dropout1", dropout1}, {"dropout2", dropout2}});
  children({{"drop_path1", drop_path1}, {"drop_path2", drop_path2}});
  if (o.layer_scale > 0.0) {
    const LayerScaleOptions scale{.dim = o.dim, .initial = o.layer_scale};
    scale1 = std::make_unique<LayerScale>(scale);
    scale2 = std::make_unique<LayerScale>(scale);
    children({{"scale1", *scale1}, {"scale2", *scale2}});
  }
}

Stream TransformerBlock::forward(const Stream& in, const AttentionContext& context) {
  const auto finish = [](Tensor y, Dropout& dropout, LayerScale* scale, DropPath& drop_path) {
    y = dropout(y);
    if (scale != nullptr) y = scale->forward(y);
    return drop_path(y);
  };
  const auto attended = [&](const Tensor& x) {
    return finish((*attn)(x, context), dropout1, scale1.get(), drop_path1);
  };
  const auto fed = [&](const Tensor& x) {
    return finish((*mlp)(x), dropout2, scale2.get(), drop_path2);
  };
  if (norm_first_) {
    const auto [x, normed1] = norm1->forward_sum(in);
    const auto [sum, normed2] = norm2->forward_add(x, attended(normed1));
    return {normed_stream_ ? normed2 : sum, fed(normed2)};
  }
  const Tensor x = sum_of(in);
  const Tensor middle = norm1->forward_add(x, attended(x)).second;
  return {norm2->forward_add(middle, fed(middle)).second};
}

double TransformerBlock::flops(int64_t tokens) const {
  return attn->flops(tokens) + mlp->flops_per_token() * static_cast<double>(tokens);
}

}  // namespace heed::nn
