#include "nn/models/encoder.h"

#include <map>

#include "autograd/ops/channel_norm.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "nn/attention/lengths.h"
#include "nn/defaults.h"
#include "nn/init.h"
#include "nn/models/presets.h"

namespace heed::nn {
namespace {

// BERT (arXiv 1810.04805, section 3; the small ones: arXiv 1908.08962), uncased vocabulary.
EncoderOptions bert(int64_t layers, int64_t dim, int64_t heads) {
  EncoderOptions o;
  o.vocab = 30522;
  o.layers = layers;
  o.dim = dim;
  o.heads = heads;
  o.token_types = 2;
  return o;
}

// The sentence encoder distilled from it: the mean of the states, no pooler.
EncoderOptions minilm_l6() {
  EncoderOptions o = bert(6, 384, 12);
  o.pool = "mean";
  o.pooler = false;
  return o;
}

const std::map<std::string, EncoderOptions>& presets() {
  static const std::map<std::string, EncoderOptions> all = {
      {"bert-tiny", bert(2, 128, 2)},
      {"bert-base", bert(12, 768, 12)},
      {"bert-large", bert(24, 1024, 16)},
      {"minilm-l6", minilm_l6()},
  };
  return all;
}

TransformerBlockOptions block_options(const EncoderOptions& o, int64_t layer) {
  TransformerBlockOptions block;
  block.dim = o.dim;
  block.heads = o.heads;
  block.hidden = o.hidden;
  block.mlp = o.mlp;
  block.norm = o.norm;
  block.norm_eps = o.norm_eps;
  block.norm_first = o.norm_first;
  if (o.position == "rotary") block.position = "rotary";
  block.dropout = o.dropout;
  block.attention_dropout = o.attention_dropout;
  block.init = init::truncated_normal(o.init_std);
  block.attention = o.attention;
  block.layer = layer;
  block.layers = o.layers;
  return block;
}

/// Positions that begin at `offset`, not at 0.
Tensor behind(const Tensor& positions, int64_t offset) {
  if (offset == 0) return positions;
  std::vector<int64_t> moved = positions.to_vector<int64_t>();
  for (int64_t& position : moved) position += offset;
  return Tensor::from(moved, positions.shape());
}

const EncoderOptions& checked(const EncoderOptions& o) {
  if (o.vocab <= 0) {
    fail_request("model encoder: `vocab` is not given (a recipe takes it from its tokenizer)");
  }
  return o;
}

}  // namespace

void EncoderOptions::options(Options& o) {
  o.field("preset", preset, "a published model's configuration, which the other keys change",
          {.one_of = encoder_presets()});
  o.field("vocab", vocab, "number of token ids; 0 takes the tokenizer's", {.min = 0});
  o.field("context", context, "most tokens of a sequence", {.min = 1});
  o.field("layers", layers, "blocks", {.min = 1});
  o.field("dim", dim, "width of the residual stream", {.min = 1});
  o.field("heads", heads, "attention heads", {.min = 1});
  o.field("hidden", hidden, "hidden features of the feed-forward layers; 0 means their default",
          {.min = 0});
  o.field("mlp", mlp, "feed-forward layer: two linear layers around an activation, or swiglu",
          {.one_of = {"gelu", "gelu_tanh", "relu", "silu", "swiglu"}});
  o.field("norm", norm, "normalisation of each sub-block", {.one_of = {"layer_norm", "rms_norm"}});
  o.field("norm_eps", norm_eps, "added to the variance or mean square", {.above = 0});
  o.field("norm_first", norm_first,
          "normalise before each sub-block and at the end, not the embeddings and each sum");
  o.field("position", position,
          "how the model knows the order of tokens; sinusoidal ones stand beside embeddings times "
          "sqrt(dim)",
          {.one_of = {"learned", "sinusoidal", "rotary", "none"}});
  o.field("position_offset", position_offset,
          "learned: the table's row of the first token (RoBERTa, whose rows before it are those of "
          "padding, has 2)",
          {.min = 0});
  o.field("token_types", token_types, "kinds of segments with an embedding; 0: none", {.min = 0});
  o.field("pool", pool,
          "the vector of a sequence: its first state, the mean or the largest of each feature",
          {.one_of = {"cls", "mean", "max"}});
  o.field("pooler", pooler, "a linear layer and tanh on that vector");
  o.field("normalise", normalise, "and its length is made 1 (sentence encoders)");
  o.field("classes", classes, "outputs of the classification head; 0: no such head", {.min = 0});
  o.field("mlm", mlm, "a head that predicts masked tokens");
  o.field("dropout", dropout, "dropout of embeddings, branches and the classification head's input",
          {.min = 0, .below = 1});
  o.field("attention_dropout", attention_dropout, "dropout of attention probabilities",
          {.min = 0, .below = 1});
  o.field("checkpointing", checkpointing,
          "recompute each block in the backward pass instead of keeping its activations");
  o.field("init_std", init_std, "standard deviation of the (truncated normal) initial weights",
          {.above = 0});
  o.field("attention", attention, "the attention mechanism: `type` and its own keys",
          {.registry = "attentions"});
  o.check(position_offset == 0 || position == "learned", "position_offset",
          "position_offset is for learned positions");
  o.check(heads < 1 || dim % heads == 0, "heads",
          fmt::format("heads ({}) must divide dim ({})", heads, dim));
  o.check(position != "rotary" || heads < 1 || dim / heads % 2 == 0, "position",
          "rotary positions need an even dim / heads");
}

std::vector<std::string> encoder_presets() { return preset_names(presets()); }

EncoderOptions read_encoder_options(const Config& config) {
  return read_with_preset(config, "model encoder", presets());
}

Tensor pool_states(const std::string& pool, const Tensor& states, const Tensor& lengths) {
  if (pool == "cls") return select(states, 1, 0);
  return pool == "max" ? max_of_lengths(states, lengths) : mean_of_lengths(states, lengths);
}

Encoder::Encoder(const EncoderOptions& o)
    : embed(checked(o).vocab, o.dim, init::truncated_normal(o.init_std)),
      norm(make_norm(o.norm, o.dim, o.norm_eps, true)),
      dropout(o.dropout),
      head_dropout(o.dropout),
      options_(o) {
  const Init normal = init::truncated_normal(o.init_std);
  children({{"embed", embed}});
  if (o.position == "learned") {
    position = std::make_unique<LearnedPosition>(
        LearnedPositionOptions{.context = o.context + o.position_offset, .dim = o.dim}, normal);
    children({{"position", *position}});
  } else if (o.position == "sinusoidal") {
    sinusoidal = std::make_unique<SinusoidalPosition>(beside_embedding(o.dim));
    children({{"sinusoidal", *sinusoidal}});
  }
  if (o.token_types > 0) {
    token_types = std::make_unique<Embedding>(o.token_types, o.dim, normal);
    children({{"token_types", *token_types}});
  }
  for (int64_t layer = 0; layer < o.layers; ++layer) blocks.emplace(block_options(o, layer));
  children({{"norm", *norm}, {"dropout", dropout}, {"blocks", blocks}});
  if (o.pooler) {
    pooler = std::make_unique<Linear>(o.dim, o.dim, true, normal);
    children({{"pooler", *pooler}});
  }
  if (o.classes > 0) {
    classifier = std::make_unique<Linear>(o.dim, o.classes, true, normal);
    children({{"head_dropout", head_dropout}, {"classifier", *classifier}});
  }
  if (o.mlm) {
    mlm_transform = std::make_unique<Linear>(o.dim, o.dim, true, normal);
    mlm_norm = make_norm(o.norm, o.dim, o.norm_eps, true);
    mlm_bias = Tensor::empty({o.vocab});
    children({{"mlm_transform", *mlm_transform}, {"mlm_norm", *mlm_norm}});
    parameters({{"mlm_bias", mlm_bias, init::zeros()}});
  }
}

ClassifierInput Encoder::input() const {
  return ClassifierInput::tokens(options_.vocab, options_.context);
}

Config Encoder::config() const {
  return with_defaults(Config(Config::Map{{"type", "encoder"}}), options_);
}

Tensor Encoder::own_features(const Tensor& ids, const Tensor& lengths, const Tensor& types) {
  HEED_CHECK(ids.rank() == 2 && ids.numel() > 0, "encoder: ids must be [B, N], got {}", ids);
  HEED_CHECK(!position || ids.size(1) <= options_.context,
             "encoder: {} tokens, but the model's learned positions end at its context of {}",
             ids.size(1), options_.context);
  HEED_CHECK(token_types || !types.defined(), "encoder: the model has no token types");
  const int64_t tokens = ids.size(1);
  const TokenSplit* split = token_split();
  const AttentionContext context{
      .positions = split ? split->positions(tokens) : position_ids(0, tokens),
      .lengths = checked_lengths(lengths, ids.size(0), tokens)};
  const auto own = [&](const Tensor& x) { return split ? split->own(x) : x; };
  const auto start = [&] {
    Tensor x = embed(own(ids));
    if (position) x = position->forward(x, behind(context.positions, options_.position_offset));
    if (sinusoidal) x = sinusoidal->forward(x, context.positions);
    if (token_types) {
      const Tensor first = Tensor::zeros({1, 1}, DType::i64);
      x = add(x, token_types->forward(types.defined() ? own(types) : first));
    }
    if (!options_.norm_first) x = norm->forward(x);
    return dropout(x);
  };
  const Shape shape{ids.size(0), context.positions.numel(), options_.dim};
  const Stream stream = blocks.run(shape, compute_dtype(), start, context, options_.checkpointing);
  return options_.norm_first ? norm->forward_sum(stream).second : sum_of(stream);
}

Tensor Encoder::features(const Tensor& ids, const Tensor& lengths, const Tensor& types) {
  const Tensor own = own_features(ids, lengths, types);
  return token_split() ? token_split()->whole(own) : own;
}

Tensor Encoder::pooled(const Tensor& features, const Tensor& lengths) {
  const Tensor states = pool_states(options_.pool, features, lengths);
  const Tensor vector = pooler ? tanh(pooler->forward(states)) : states;
  return options_.normalise ? l2_normalize(vector) : vector;
}

Tensor Encoder::classify(const Tensor& pooled) {
  HEED_CHECK(classifier, "encoder: no classification head; give `classes`");
  return classifier->forward(head_dropout(pooled));
}

Tensor Encoder::forward(const Tensor& ids, const Tensor& lengths) {
  HEED_CHECK(classifier, "encoder: no classification head; give `classes`");
  // Rows are as long as the longest of a batch: padded on, their tokens share out among ranks.
  const int64_t multiple = blocks.tokens_multiple();
  const int64_t more = (multiple - ids.size(1) % multiple) % multiple;
  Tensor padded = ids, counted = lengths;
  if (more > 0) {
    padded = concat({ids, Tensor::zeros({ids.size(0), more}, ids.dtype())}, 1);
    if (!lengths.defined()) counted = Tensor::full({ids.size(0)}, ids.size(1), DType::i64);
  }
  return classify(pooled(features(padded, counted), counted));
}

Tensor Encoder::mlm_hidden(const Tensor& features) {
  HEED_CHECK(mlm_transform, "encoder: no head for masked tokens; give `mlm: true`");
  return mlm_norm->forward(mlm_transform->forward(features, Activation::gelu));
}

Tensor Encoder::mlm_logits(const Tensor& features) {
  return whole_of(vocabulary_, linear(mlm_hidden(features), embed.weight, mlm_bias),
                  options_.vocab);
}

Tensor Encoder::mlm_loss(const Tensor& ids, const Tensor& targets, const Tensor& lengths) {
  return mean_over_tokens(token_split(), targets, [&](const Tensor& own, Reduction reduction) {
    return linear_cross_entropy(
        mlm_hidden(own_features(ids, lengths, {})), embed.weight, mlm_bias, own,
        {.reduction = reduction, .shared = classes_of(vocabulary_, options_.vocab)});
  });
}

void Encoder::split_vocabulary(const TensorSplitPointer& split) {
  embed.split_rows(split);
  if (mlm_bias.defined()) keep_shard(mlm_bias, split->shard(0, {options_.vocab}));
  vocabulary_ = split;
}

double Encoder::flops() const {
  double total = 0.0;
  for (const auto& block : blocks) total += block->flops(options_.context);
  if (pooler) total += 2.0 * static_cast<double>(pooler->weight.numel());
  if (classifier) total += 2.0 * static_cast<double>(classifier->weight.numel());
  if (mlm_transform) {
    total += 2.0 * static_cast<double>(options_.context) *
             static_cast<double>(mlm_transform->weight.numel() + embed.weight.numel());
  }
  return total;
}

}  // namespace heed::nn
