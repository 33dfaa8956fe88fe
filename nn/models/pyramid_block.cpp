#include "nn/models/pyramid_block.h"

#include "autograd/checkpoint.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/view.h"
#include "nn/attention/registry.h"
#include "nn/init.h"
#include "nn/layers/conv_mlp.h"
#include "nn/layers/learned_position.h"

namespace heed::nn {
namespace {

Init depthwise_init(const PyramidBlockOptions& o, int64_t channels) {
  return o.fan_out ? init::kaiming_normal_out(channels) : Init{};
}

std::unique_ptr<FeedForward> feed_forward(const PyramidBlockOptions& o) {
  if (o.mlp == "none") return nullptr;
  if (o.mlp_conv == "none") {
    return make_feed_forward(o.mlp, o.dim, o.hidden, true, 0.0, {o.init, o.init});
  }
  ConvMlpOptions options;
  options.dim = o.dim;
  options.hidden = o.hidden;
  options.activation = o.mlp;
  options.residual = o.mlp_conv == "residual";
  return std::make_unique<ConvMlp>(options, BlockInit{o.init, o.init},
                                   depthwise_init(o, options.hidden));
}

std::unique_ptr<Conv> conv_position(const PyramidBlockOptions& o) {
  return std::make_unique<Conv>(same_conv(o.dim, o.dim, 3, 1, o.dim, true),
                                depthwise_init(o, o.dim));
}

}  // namespace

PyramidBlock::PyramidBlock(const PyramidBlockOptions& o)
    : norm1(make_norm(o.norm, o.dim, o.norm_eps, true)),
      attn(make_attention(o.attention, attention_host(o))),
      mlp(feed_forward(o)),
      dropout1(o.dropout),
      dropout2(o.dropout),
      drop_path1(o.drop_path),
      drop_path2(o.drop_path) {
  if (o.conv_position != "none") {
    position1 = conv_position(o);
    children({{"position1", *position1}});
  }
  children({{"norm1", *norm1}, {"attn", *attn}});
  if (mlp && o.conv_position == "both") {
    position2 = conv_position(o);
    children({{"position2", *position2}});
  }
  if (mlp) {
    norm2 = make_norm(o.norm, o.dim, o.norm_eps, true);
    children({{"norm2", *norm2}, {"mlp", *mlp}});
  }
  children({{"dropout1", dropout1}, {"dropout2", dropout2}});
  children({{"drop_path1", drop_path1}, {"drop_path2", drop_path2}});
  if (o.layer_scale <= 0.0) return;
  const LayerScaleOptions scale{.dim = o.dim, .initial = o.layer_scale};
  scale1 = std::make_unique<LayerScale>(scale);
  children({{"scale1", *scale1}});
  if (!mlp) return;
  scale2 = std::make_unique<LayerScale>(scale);
  children({{"scale2", *scale2}});
}

Tensor PyramidBlock::attend(const Tensor& x) {
  const int64_t rows = x.size(1), columns = x.size(2), tokens = rows * columns;
  AttentionContext context{.positions = position_ids(0, tokens)};
  context.grid = {rows, columns};
  Tensor y = (*attn)(reshape(x, {x.size(0), tokens, x.size(3)}), context);
  y = dropout1(reshape(y, x.shape()));
  return drop_path1(scale1 ? (*scale1)(y) : y);
}

Tensor PyramidBlock::forward(const Tensor& in) {
  HEED_CHECK(in.rank() == 4, "pyramid block: wants [B, H, W, C], got {}", in);
  Tensor x = position1 ? add(in, (*position1)(in)) : in, normed;
  const Tensor attended = attend((*norm1)(x));
  if (!mlp) return add(x, attended);
  if (position2) {
    x = add(x, attended);
    x = add(x, (*position2)(x));
    normed = (*norm2)(x);
  } else {
    std::tie(x, normed) = norm2->forward_add(x, attended);
  }
  const Tensor fed = dropout2((*mlp)(normed));
  return add(x, drop_path2(scale2 ? (*scale2)(fed) : fed));
}

Tensor PyramidBlock::forward_checkpointed(const Tensor& x) {
  return checkpoint([this](const std::vector<Tensor>& in) { return forward(in[0]); }, {x});
}

double PyramidBlock::flops(int64_t tokens) const {
  double each = mlp ? mlp->flops_per_token() : 0.0;
  for (const Conv* position : {position1.get(), position2.get()}) {
    if (position != nullptr) each += 2.0 * static_cast<double>(position->weight.numel());
  }
  return attn->flops(tokens) + each * static_cast<double>(tokens);
}

}  // namespace heed::nn
