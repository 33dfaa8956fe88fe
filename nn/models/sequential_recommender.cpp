#include "nn/models/sequential_recommender.h"

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "nn/defaults.h"
#include "nn/init.h"
#include "nn/layers/learned_position.h"

namespace heed::nn {
namespace {

TransformerBlockOptions block_options(const SequentialRecommenderOptions& o, int64_t layer) {
  TransformerBlockOptions block;
  block.dim = o.dim;
  block.heads = o.heads;
  block.hidden = o.hidden > 0 ? o.hidden : o.dim;
  block.mlp = o.mlp;
  block.norm = o.norm;
  block.norm_eps = o.norm_eps;
  block.causal = true;
  if (o.position == "rotary") block.position = "rotary";
  block.dropout = o.dropout;
  block.attention_dropout = o.attention_dropout;
  block.attention = o.attention;
  block.layer = layer;
  block.layers = o.layers;
  return block;
}

}  // namespace

void SequentialRecommenderOptions::options(Options& o) {
  o.field("items", items, "number of items; 0 takes the data's", {.min = 0});
  o.field("context", context, "most items of a row", {.min = 1});
  o.field("layers", layers, "blocks", {.min = 1});
  o.field("dim", dim, "width of the residual stream and of an item", {.min = 1});
  o.field("heads", heads, "attention heads", {.min = 1});
  o.field("hidden", hidden, "hidden features of the feed-forward layers; 0 means dim", {.min = 0});
  o.field("mlp", mlp, "feed-forward layer: two linear layers around an activation, or swiglu",
          {.one_of = {"gelu", "gelu_tanh", "relu", "silu", "swiglu"}});
  o.field("norm", norm, "normalisation before each sub-block",
          {.one_of = {"layer_norm", "rms_norm"}});
  o.field("norm_eps", norm_eps, "added to the variance or mean square", {.above = 0});
  o.field("position", position, "how the model knows the order of items",
          {.one_of = {"learned", "rotary", "none"}});
  o.field("dropout", dropout, "dropout of embeddings and branches", {.min = 0, .below = 1});
  o.field("attention_dropout", attention_dropout, "dropout of attention probabilities",
          {.min = 0, .below = 1});
  o.field("scale_embedding", scale_embedding, "multiply an item's embedding by the root of dim");
  o.field("checkpointing", checkpointing,
          "recompute each block in the backward pass instead of keeping its activations");
  o.field("init_std", init_std, "standard deviation of the initial embeddings", {.above = 0});
  o.field("attention", attention, "the attention mechanism: `type` and its own keys",
          {.registry = "attentions"});
  o.check(heads < 1 || dim % heads == 0, "heads",
          fmt::format("heads ({}) must divide dim ({})", heads, dim));
  o.check(position != "rotary" || heads < 1 || dim / heads % 2 == 0, "position",
          "rotary positions need an even dim / heads");
}

SequentialRecommender::SequentialRecommender(const SequentialRecommenderOptions& o)
    : Recommender("sequential_recommender", {o.items, o.context, o.dim, o.init_std, o.dropout}),
      dropout(o.dropout),
      norm(make_norm(o.norm, o.dim, o.norm_eps, true)),
      options_(o) {
  if (o.position == "learned") {
    position = std::make_unique<Embedding>(o.context, o.dim, init::normal(o.init_std));
    children({{"position", *position}});
  }
  for (int64_t layer = 0; layer < o.layers; ++layer) blocks.emplace(block_options(o, layer));
  children({{"dropout", dropout}, {"blocks", blocks}, {"norm", *norm}});
}

Config SequentialRecommender::config() const {
  return with_defaults(Config(Config::Map{{"type", "sequential_recommender"}}), options_);
}

Tensor SequentialRecommender::features(const Tensor& items) {
  Tensor x = embedded(items);
  if (options_.scale_embedding) x = mul(x, std::sqrt(static_cast<double>(options_.dim)));
  if (position) x = add(x, position->forward(slots(items)));
  const AttentionContext context{.positions = position_ids(0, items.size(1))};
  const Stream stream = blocks.run(
      x.shape(), x.dtype(), [&] { return dropout(x); }, context, options_.checkpointing);
  return norm->forward_sum(stream).second;
}

double SequentialRecommender::flops() const {
  double total = 0.0;
  for (const auto& block : blocks) total += block->flops(options_.context);
  return total;
}

}  // namespace heed::nn
