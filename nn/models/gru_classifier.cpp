#include "nn/models/gru_classifier.h"

#include "autograd/ops/elementwise.h"
#include "nn/defaults.h"
#include "nn/init.h"
#include "nn/pooling/registry.h"

namespace heed::nn {
namespace {

const GruClassifierOptions& checked(const GruClassifierOptions& o) {
  if (o.vocab <= 0 || o.classes <= 0) {
    fail_request(
        "model gru_classifier: `vocab` and `classes` are not given (a recipe takes them from its "
        "tokenizer and data)");
  }
  return o;
}

RecurrentOptions recurrent_options(const GruClassifierOptions& o) {
  return {.in = o.dim,
          .hidden = o.hidden,
          .layers = o.layers,
          .bidirectional = o.bidirectional,
          .dropout = o.dropout};
}

}  // namespace

void GruClassifierOptions::options(Options& o) {
  o.field("vocab", vocab, "number of token ids; 0 takes the tokenizer's", {.min = 0});
  o.field("context", context, "most tokens of a sequence", {.min = 1});
  o.field("classes", classes, "outputs; 0 takes the data's", {.min = 0});
  o.field("dim", dim, "features of a token's embedding", {.min = 1});
  o.field("hidden", hidden, "features of a direction's state", {.min = 1});
  o.field("layers", layers, "recurrent layers", {.min = 1});
  o.field("bidirectional", bidirectional, "read the text in both directions");
  o.field("cell", cell, "the recurrence", {.one_of = {"gru", "lstm"}});
  o.field("pool", pool, "how the states become what is classified: `type` and its own keys",
          {.registry = "poolings"});
  o.field("head_hidden", head_hidden,
          "hidden features, with ReLU, before the last layer; 0: it stands alone", {.min = 0});
  o.field("dropout", dropout, "dropout of embeddings, between layers and before the last layer",
          {.min = 0, .below = 1});
}

GruClassifierOptions read_gru_classifier_options(const Config& config) {
  return read_options<GruClassifierOptions>(config, "model gru_classifier");
}

GruClassifier::GruClassifier(const GruClassifierOptions& o)
    : embed(checked(o).vocab, o.dim, init::normal(0.1)),
      embed_dropout(o.dropout),
      head_dropout(o.dropout),
      rnn(o.cell == "lstm" ? Recurrent::Kind::lstm : Recurrent::Kind::gru, recurrent_options(o)),
      pool(make_pooling(o.pool, {rnn.width(), o.bidirectional})),
      head(o.head_hidden > 0 ? o.head_hidden : pool->width(), o.classes),
      options_(o) {
  children({{"embed", embed}, {"embed_dropout", embed_dropout}, {"rnn", rnn}, {"pool", *pool}});
  if (o.head_hidden > 0) {
    hidden = std::make_unique<Linear>(pool->width(), o.head_hidden);
    children({{"hidden", *hidden}});
  }
  children({{"head_dropout", head_dropout}, {"head", head}});
}

ClassifierInput GruClassifier::input() const {
  return ClassifierInput::tokens(options_.vocab, options_.context);
}

Config GruClassifier::config() const {
  return with_defaults(Config(Config::Map{{"type", "gru_classifier"}}), options_);
}

Tensor GruClassifier::states(const Tensor& ids, const Tensor& lengths) {
  HEED_CHECK(ids.rank() == 2 && ids.numel() > 0, "gru_classifier: ids must be [B, N], got {}", ids);
  return rnn.run(embed_dropout(embed(ids)), lengths).out;
}

Tensor GruClassifier::forward(const Tensor& ids, const Tensor& lengths) {
  Tensor x = pool->forward(states(ids, lengths), lengths);
  if (hidden) x = relu(hidden->forward(x));
  return head(head_dropout(x));
}

Tensor GruClassifier::token_weights(const Tensor& ids, const Tensor& lengths) {
  return pool->weights(states(ids, lengths), lengths);
}

double GruClassifier::flops() const {
  return static_cast<double>(options_.context) * rnn.flops_per_token() +
         pool->flops(options_.context) +
         2.0 * static_cast<double>(head.weight.numel() + (hidden ? hidden->weight.numel() : 0));
}

}  // namespace heed::nn
