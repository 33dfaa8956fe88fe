#include "nn/models/sequential_recommender.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/pointwise_loss.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "nn/defaults.h"
#include "nn/init.h"
#include "nn/layers/learned_position.h"

namespace heed::nn {
namespace {

const SequentialRecommenderOptions& checked(const SequentialRecommenderOptions& o) {
  if (o.items <= 0) {
    fail_request(
        "model sequential_recommender: `items` is not given (a recipe takes it from its "
        "data)");
  }
  return o;
}

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

/// Items in front of each row's padding.
std::vector<int64_t> lengths_of(const Tensor& items) {
  const int64_t rows = items.size(0), places = items.size(1);
  const std::vector<int64_t> ids = items.to_vector<int64_t>();
  std::vector<int64_t> lengths;
  for (int64_t row = 0; row < rows; ++row) {
    const auto begin = ids.begin() + row * places, end = begin + places;
    const auto behind = std::find(begin, end, 0);
    HEED_CHECK(std::all_of(behind, end, [](int64_t id) { return id == 0; }),
               "sequential_recommender: row {} has items behind padding (0 may only end a row)",
               row);
    lengths.push_back(behind - begin);
  }
  return lengths;
}

Tensor numbers(const std::vector<int64_t>& values, const Shape& shape) {
  return Tensor::from(values, shape);
}

/// Row numbers of the embedding: item - 1, and 0 (an item like any other) where nobody looks.
Tensor rows_of_items(const Tensor& items) {
  std::vector<int64_t> ids = items.to_vector<int64_t>();
  for (int64_t& id : ids) id = std::max<int64_t>(id - 1, 0);
  return numbers(ids, items.shape());
}

/// The places that have a target, as numbers of rows of [B N, C].
std::vector<int64_t> places_with_target(const Tensor& targets) {
  const std::vector<int64_t> ids = targets.to_vector<int64_t>();
  std::vector<int64_t> places;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] > 0) places.push_back(static_cast<int64_t>(i));
  }
  return places;
}

/// Rows of a contiguous [..., C] tensor, flattened to [n, C].
Tensor pick(const Tensor& x, const std::vector<int64_t>& rows) {
  return index_select(reshape(x, {-1, x.size(-1)}), 0,
                      numbers(rows, {static_cast<int64_t>(rows.size())}));
}

Tensor pick_numbers(const Tensor& x, const std::vector<int64_t>& rows, int64_t width) {
  const std::vector<int64_t> all = x.to_vector<int64_t>();
  std::vector<int64_t> picked;
  for (const int64_t row : rows) {
    picked.insert(picked.end(), all.begin() + row * width, all.begin() + (row + 1) * width);
  }
  for (int64_t& id : picked) id = std::max<int64_t>(id - 1, 0);
  const auto count = static_cast<int64_t>(rows.size());
  return numbers(picked, width == 1 ? Shape{count} : Shape{count, width});
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
    : embed(checked(o).items, o.dim, init::normal(o.init_std)),
      dropout(o.dropout),
      norm(make_norm(o.norm, o.dim, o.norm_eps, true)),
      options_(o) {
  children({{"embed", embed}});
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
  HEED_CHECK(items.rank() == 2 && items.numel() > 0,
             "sequential_recommender: items must be [B, N], got {}", items);
  const int64_t places = items.size(1);
  HEED_CHECK(places <= options_.context, "sequential_recommender: {} items, but a context of {}",
             places, options_.context);
  Tensor x = embed(rows_of_items(items));
  if (options_.scale_embedding) x = mul(x, std::sqrt(static_cast<double>(options_.dim)));
  if (position) {
    std::vector<int64_t> slots;
    for (const int64_t length : lengths_of(items)) {
      for (int64_t place = 0; place < places; ++place) {
        slots.push_back(std::min(options_.context - length + place, options_.context - 1));
      }
    }
    x = add(x, position->forward(numbers(slots, items.shape())));
  }
  const AttentionContext context{.positions = position_ids(0, places)};
  const Stream stream = blocks.run(
      x.shape(), x.dtype(), [&] { return dropout(x); }, context, options_.checkpointing);
  return norm->forward_sum(stream).second;
}

Tensor SequentialRecommender::last(const Tensor& features, const Tensor& items) const {
  std::vector<int64_t> rows;
  for (const int64_t length : lengths_of(items)) {
    const auto row = static_cast<int64_t>(rows.size());
    HEED_CHECK(length > 0, "sequential_recommender: row {} has no items", row);
    rows.push_back(row * items.size(1) + length - 1);
  }
  return pick(features, rows);
}

Tensor SequentialRecommender::forward(const Tensor& items) {
  return linear(last(features(items), items), embed.weight);
}

Tensor SequentialRecommender::nothing(const Tensor& items) {
  return mul(sum(cast(features(items), DType::f32)), 0.0);
}

Tensor SequentialRecommender::loss(const Tensor& items, const Tensor& targets) {
  const std::vector<int64_t> places = places_with_target(targets);
  if (places.empty()) return nothing(items);
  return linear_cross_entropy(pick(features(items), places), embed.weight, {},
                              pick_numbers(targets, places, 1));
}

Tensor SequentialRecommender::sampled_loss(const Tensor& items, const Tensor& targets,
                                           const Tensor& negatives) {
  const std::vector<int64_t> places = places_with_target(targets);
  if (places.empty()) return nothing(items);
  const auto count = static_cast<int64_t>(places.size());
  const Tensor x = reshape(pick(features(items), places), {count, 1, options_.dim});
  const auto logits = [&](const Tensor& ids, int64_t width) {
    const Tensor rows = embed(pick_numbers(ids, places, width));
    return sum(mul(x, reshape(rows, {count, width, options_.dim})), {-1});
  };
  const int64_t width = negatives.size(-1);
  const Tensor wanted = logits(targets, 1), others = logits(negatives, width);
  return add(bce_with_logits(wanted, Tensor::full(wanted.shape(), 1.0, wanted.dtype())),
             bce_with_logits(others, Tensor::zeros(others.shape(), others.dtype())));
}

Tensor SequentialRecommender::loss_rows(const Tensor& items, const Tensor& targets) {
  const NoGrad no_grad;
  return linear_cross_entropy_rows(last(features(items), items), embed.weight, {},
                                   rows_of_items(targets));
}

double SequentialRecommender::flops() const {
  double total = 0.0;
  for (const auto& block : blocks) total += block->flops(options_.context);
  return total;
}

}  // namespace heed::nn
