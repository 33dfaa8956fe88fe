#include "nn/models/multi_query_recommender.h"

#include <cmath>

#include "autograd/ops/attention.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/view.h"
#include "nn/defaults.h"
#include "nn/init.h"

namespace heed::nn {
namespace {

LayerNormOptions norm_of(const MultiQueryRecommenderOptions& o) {
  return {.dim = o.dim, .eps = o.norm_eps};
}

// [B, N, H D] -> [B, H, N, D].
Tensor by_head(const Tensor& x, int64_t heads) {
  return transpose(reshape(x, {x.size(0), x.size(1), heads, x.size(2) / heads}), 1, 2);
}

}  // namespace

void MultiQueryRecommenderOptions::options(Options& o) {
  o.field("items", items, "number of items; 0 takes the data's", {.min = 0});
  o.field("context", context, "most items of a row", {.min = 1});
  o.field("layers", layers, "blocks of a branch", {.min = 1});
  o.field("dim", dim, "width of the states and of an item", {.min = 1});
  o.field("heads", heads, "attention heads", {.min = 1});
  o.field("window", window, "items whose mean is the long branch's query", {.min = 1});
  o.field("alpha", alpha,
          "share of the short branch, whose query is the newest item, in the state; 1: SASRec's "
          "kind alone",
          {.min = 0, .max = 1});
  o.field("dropout", dropout, "dropout of embeddings, probabilities and feed-forward layers",
          {.min = 0, .below = 1});
  o.field("norm_eps", norm_eps, "added to the variance", {.above = 0});
  o.field("init_std", init_std, "standard deviation of the initial embeddings", {.above = 0});
  o.check(heads < 1 || dim % heads == 0, "heads",
          fmt::format("heads ({}) must divide dim ({})", heads, dim));
}

WindowQueryBlock::WindowQueryBlock(const MultiQueryRecommenderOptions& o, int64_t window)
    : norm1(norm_of(o)),
      norm2(norm_of(o)),
      q(o.dim, o.dim, true, init::xavier_uniform()),
      k(o.dim, o.dim, true, init::xavier_uniform()),
      v(o.dim, o.dim, true, init::xavier_uniform()),
      up(o.dim, o.dim, true, init::xavier_uniform()),
      down(o.dim, o.dim, true, init::xavier_uniform()),
      dropout1(o.dropout),
      dropout2(o.dropout),
      heads_(o.heads),
      window_(window),
      dropout_(o.dropout) {
  children({{"norm1", norm1}, {"q", q}, {"k", k}, {"v", v}, {"norm2", norm2}});
  children({{"up", up}, {"down", down}, {"dropout1", dropout1}, {"dropout2", dropout2}});
}

Tensor WindowQueryBlock::forward(const Tensor& x) {
  AttentionSpec causal;
  causal.pattern = AttentionPattern::causal();
  if (training() && dropout_ > 0.0) {
    causal.dropout = dropout_;
    causal.dropout_key = current_key(purpose());
    causal.dropout_row = first_draw(x.size(0));
  }
  const Tensor asked = norm1(mean_of_last(x, window_));
  const Tensor found =
      attention(by_head(q(asked), heads_), by_head(k(x), heads_), by_head(v(x), heads_), causal)
          .out;
  const Tensor o = norm2(add(asked, reshape(transpose(found, 1, 2), x.shape())));
  return add(o, dropout2(down(dropout1(up.forward(o, Activation::relu)))));
}

double WindowQueryBlock::flops(int64_t tokens) const {
  const auto n = static_cast<double>(tokens), dim = static_cast<double>(q.weight.size(0));
  return 5.0 * 2.0 * n * dim * dim + 4.0 * n * (n + 1) / 2 * dim +
         n * dim * static_cast<double>(window_);
}

WindowQueryBranch::WindowQueryBranch(const MultiQueryRecommenderOptions& o, int64_t window)
    : norm(norm_of(o)) {
  for (int64_t layer = 0; layer < o.layers; ++layer) blocks.emplace(o, window);
  children({{"blocks", blocks}, {"norm", norm}});
}

Tensor WindowQueryBranch::forward(const Tensor& x) {
  Tensor y = x;
  for (const auto& block : blocks) y = block->forward(y);
  return norm(y);
}

MultiQueryRecommender::MultiQueryRecommender(const MultiQueryRecommenderOptions& o)
    : Recommender("multi_query_recommender", {o.items, o.context, o.dim, o.init_std, o.dropout}),
      position(o.context, o.dim, init::normal(o.init_std)),
      dropout(o.dropout),
      options_(o) {
  children({{"position", position}, {"dropout", dropout}});
  if (o.alpha > 0.0) {
    short_query = std::make_unique<WindowQueryBranch>(o, 1);
    children({{"short_query", *short_query}});
  }
  if (o.alpha < 1.0) {
    long_query = std::make_unique<WindowQueryBranch>(o, o.window);
    children({{"long_query", *long_query}});
  }
}

Config MultiQueryRecommender::config() const {
  return with_defaults(Config(Config::Map{{"type", "multi_query_recommender"}}), options_);
}

Tensor MultiQueryRecommender::features(const Tensor& items) {
  const Tensor scaled = mul(embedded(items), std::sqrt(static_cast<double>(options_.dim)));
  const Tensor x = dropout(add(scaled, position(slots(items))));
  if (!long_query) return short_query->forward(x);
  const Tensor of_long = long_query->forward(x);
  if (!short_query) return of_long;
  return add(mul(short_query->forward(x), options_.alpha), mul(of_long, 1.0 - options_.alpha));
}

double MultiQueryRecommender::flops() const {
  double total = 0.0;
  for (const WindowQueryBranch* branch : {short_query.get(), long_query.get()}) {
    if (branch == nullptr) continue;
    for (const auto& block : branch->blocks) total += block->flops(options_.context);
  }
  return total;
}

}  // namespace heed::nn
