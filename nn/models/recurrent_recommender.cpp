#include "nn/models/recurrent_recommender.h"

#include "nn/defaults.h"

namespace heed::nn {

void RecurrentRecommenderOptions::options(Options& o) {
  o.field("items", items, "number of items; 0 takes the data's", {.min = 0});
  o.field("context", context, "most items of a row", {.min = 1});
  o.field("layers", layers, "recurrent layers", {.min = 1});
  o.field("dim", dim, "features of an item", {.min = 1});
  o.field("hidden", hidden, "features of a state", {.min = 1});
  o.field("dropout", dropout, "dropout of embeddings and between layers", {.min = 0, .below = 1});
  o.field("init_std", init_std, "standard deviation of the initial embeddings", {.above = 0});
}

RecurrentRecommender::RecurrentRecommender(const RecurrentRecommenderOptions& o)
    : Recommender("recurrent_recommender", {o.items, o.context, o.dim, o.init_std, o.dropout}),
      dropout(o.dropout),
      gru({.in = o.dim, .hidden = o.hidden, .layers = o.layers, .dropout = o.dropout}),
      out(o.hidden, o.dim),
      options_(o) {
  children({{"dropout", dropout}, {"gru", gru}, {"out", out}});
}

Config RecurrentRecommender::config() const {
  return with_defaults(Config(Config::Map{{"type", "recurrent_recommender"}}), options_);
}

Tensor RecurrentRecommender::features(const Tensor& items) {
  return out(gru.forward(dropout(embedded(items))));
}

double RecurrentRecommender::flops() const {
  const auto n = static_cast<double>(options_.context);
  return n * (gru.flops_per_token() + 2.0 * static_cast<double>(out.weight.numel()));
}

}  // namespace heed::nn
