#include "nn/models/compact_text.h"

#include <map>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/view.h"
#include "nn/attention/lengths.h"
#include "nn/defaults.h"
#include "nn/init.h"
#include "nn/layers/learned_position.h"
#include "nn/models/compact.h"
#include "nn/models/presets.h"

namespace heed::nn {
namespace {

constexpr double kInitStd = 0.02;
constexpr double kNormEps = 1e-5;

// Patches, where the stem makes such, are of 4 words.
CompactTextOptions compact(int64_t layers, const std::string& stem, const std::string& pool) {
  const CompactSize size = compact_size(layers);
  CompactTextOptions o;
  o.stem = stem;
  o.pool = pool;
  o.layers = size.layers;
  o.heads = size.heads;
  o.dim = size.dim;
  o.hidden = size.hidden;
  return o;
}

CompactTextOptions cct(int64_t layers, int64_t kernel) {
  CompactTextOptions o = compact(layers, "convs", "attention");
  o.stem_kernel = kernel;
  return o;
}

CompactTextOptions cvt(int64_t layers) {
  CompactTextOptions o = compact(layers, "patch", "attention");
  if (layers == 6) {  // the published code's, unlike all other sixes
    o.dim = 128;
    o.hidden = 256;
  }
  return o;
}

// As wide as words.
CompactTextOptions transformer(int64_t layers) {
  CompactTextOptions o = compact(layers, "words", "cls");
  o.hidden = o.hidden / o.dim * o.word_dim;
  o.dim = o.word_dim;
  return o;
}

const std::map<std::string, CompactTextOptions>& presets() {
  static const std::map<std::string, CompactTextOptions> all = [] {
    std::map<std::string, CompactTextOptions> models;
    for (const int64_t layers : {2, 4, 6}) {
      for (const int64_t kernel : {1, 2, 4})
        models.emplace(fmt::format("text-cct-{}-k{}", layers, kernel), cct(layers, kernel));
      models.emplace(fmt::format("text-cvt-{}", layers), cvt(layers));
      models.emplace(fmt::format("text-vit-{}", layers), compact(layers, "patch", "cls"));
      models.emplace(fmt::format("text-transformer-{}", layers), transformer(layers));
    }
    return models;
  }();
  return all;
}

const CompactTextOptions& checked(const CompactTextOptions& o) {
  if (o.vocab <= 0 || o.classes <= 0) {
    fail_request(
        "model compact_text: `vocab` and `classes` are not given (a recipe takes them from its "
        "tokenizer and data)");
  }
  return o;
}

ConvTokenizerOptions tokenizer_options(const CompactTextOptions& o) {
  ConvTokenizerOptions tokens{
      .channels = o.word_dim, .dim = o.dim, .spatial = 1, .kernel = o.stem_kernel, .pool = 2};
  if (o.stem == "patch") {
    tokens.stride = o.stem_kernel;
    tokens.padding = 0;
    tokens.pool = 0;
  }
  return tokens;
}

TransformerBlockOptions block_options(const CompactTextOptions& o, int64_t layer) {
  TransformerBlockOptions block;
  block.dim = o.dim;
  block.heads = o.heads;
  block.hidden = o.hidden;
  block.norm_eps = kNormEps;
  block.normed_stream = true;
  block.qkv_bias = false;
  block.dropout = o.dropout;
  block.attention_dropout = o.attention_dropout;
  block.drop_path = drop_path_of_layer(o.drop_path, layer, o.layers);
  block.init = init::truncated_normal(kInitStd);
  block.attention = o.attention;
  block.layer = layer;
  block.layers = o.layers;
  return block;
}

}  // namespace

void CompactTextOptions::options(Options& o) {
  o.field("preset", preset, "a published model's configuration, which the other keys change",
          {.one_of = compact_text_presets()});
  o.field("vocab", vocab, "number of token ids; 0 takes the tokenizer's", {.min = 0});
  o.field("context", context, "most words of a text", {.min = 1});
  o.field("classes", classes, "outputs; 0 takes the data's", {.min = 0});
  o.field("word_dim", word_dim, "features of a word's vector", {.min = 1});
  o.field("stem", stem,
          "words to tokens: a convolution and a max-pool over time, a convolution of words side by "
          "side, or each word by itself",
          {.one_of = {"convs", "patch", "words"}});
  o.field("stem_kernel", stem_kernel, "words that the convolution sees", {.min = 1});
  o.field("layers", layers, "blocks", {.min = 1});
  o.field("dim", dim, "width of the residual stream", {.min = 1});
  o.field("heads", heads, "attention heads", {.min = 1});
  o.field("hidden", hidden, "hidden features of the feed-forward layers", {.min = 1});
  o.field(
      "pool", pool,
      "what is classified: a class token's state, or the tokens' sum weighted by a learned softmax",
      {.one_of = {"attention", "cls"}});
  o.field("mask_pool", mask_pool, "give weights to tokens with words alone");
  o.field("position", position, "how the model knows the order of tokens",
          {.one_of = {"sinusoidal", "none"}});
  o.field("dropout", dropout, "dropout of embeddings and branches", {.min = 0, .below = 1});
  o.field("attention_dropout", attention_dropout, "dropout of attention probabilities",
          {.min = 0, .below = 1});
  o.field("drop_path", drop_path, "stochastic depth of the last block, growing from 0 linearly",
          {.min = 0, .below = 1});
  o.field("checkpointing", checkpointing,
          "recompute each block in the backward pass instead of keeping its activations");
  o.field("attention", attention, "the attention mechanism: `type` and its own keys",
          {.registry = "attentions"});
  o.check(heads < 1 || dim % heads == 0, "heads",
          fmt::format("heads ({}) must divide dim ({})", heads, dim));
  o.check(stem != "words" || word_dim == dim, "word_dim",
          fmt::format("words as tokens have its dim, {}, not {}", dim, word_dim));
}

std::vector<std::string> compact_text_presets() { return preset_names(presets()); }

CompactTextOptions read_compact_text_options(const Config& config) {
  return read_with_preset(config, "model compact_text", presets());
}

CompactText::CompactText(const CompactTextOptions& o)
    : embed(checked(o).vocab, o.word_dim),
      dropout(o.dropout),
      norm(make_norm("layer_norm", o.dim, kNormEps, true)),
      head(o.dim, o.classes, true, init::truncated_normal(kInitStd)),
      options_(o) {
  children({{"embed", embed}});
  if (o.stem != "words") {
    tokenizer = std::make_unique<ConvTokenizer>(tokenizer_options(o));
    children({{"tokenizer", *tokenizer}});
  }
  if (o.pool == "cls") {
    cls = Tensor::empty({1, 1, o.dim});
    parameters({{"cls", cls, init::zeros()}});
  }
  if (o.position == "sinusoidal") {
    sinusoidal = std::make_unique<SinusoidalPosition>(SinusoidalPositionOptions{o.dim});
    children({{"sinusoidal", *sinusoidal}});
  }
  for (int64_t layer = 0; layer < o.layers; ++layer) blocks.emplace(block_options(o, layer));
  children({{"dropout", dropout}, {"blocks", blocks}, {"norm", *norm}});
  if (o.pool == "attention") {
    pool = std::make_unique<SequencePool>(SequencePoolOptions{o.dim},
                                          init::truncated_normal(kInitStd));
    children({{"pool", *pool}});
  }
  children({{"head", head}});
}

ClassifierInput CompactText::input() const {
  return ClassifierInput::tokens(options_.vocab, options_.context);
}

Config CompactText::config() const {
  return with_defaults(Config(Config::Map{{"type", "compact_text"}}), options_);
}

int64_t CompactText::whole_words(int64_t words) const {
  const int64_t step = options_.stem == "patch" ? options_.stem_kernel : 1;
  return (words + step - 1) / step * step;
}

int64_t CompactText::tokens(int64_t words) const {
  const int64_t of_words = tokenizer ? tokenizer->options().grid({whole_words(words)})[0] : words;
  return of_words + (cls.defined() ? 1 : 0);
}

std::pair<int64_t, int64_t> CompactText::counted(int64_t count, int64_t words) const {
  return tokenizer ? tokenizer->seeing(0, count, words) : std::pair<int64_t, int64_t>{0, count};
}

Tensor CompactText::forward(const Tensor& given, const Tensor& lengths) {
  HEED_CHECK(given.rank() == 2 && given.numel() > 0, "compact_text: ids must be [B, N], got {}",
             given);
  const int64_t batch = given.size(0), words = whole_words(given.size(1));
  Tensor ids = given;
  if (words > given.size(1)) {
    ids = concat({given, Tensor::zeros({batch, words - given.size(1)}, given.dtype())}, 1);
  }
  const Tensor counts = checked_lengths(lengths, batch, given.size(1));
  const Tensor row_words =
      counts.defined() ? counts
                       : Tensor::full({batch}, static_cast<double>(given.size(1)), DType::i64);

  // Tokens that count follow each other, from the same one on in every row. Where that is not the
  // first (a window of padding alone), those before it go to the end: the blocks see order by the
  // positions alone, and pooling not at all.
  const int64_t own = cls.defined() ? 1 : 0, all = tokens(words);
  const int64_t before = counted(words, words).first;
  std::vector<int64_t> tokens_of, order;  // tokens by the words of a row
  for (int64_t count = 0; count <= given.size(1); ++count) {
    const auto [first, last] = counted(count, words);
    tokens_of.push_back(own + last - first);
  }
  for (int64_t i = 0; i < own; ++i) order.push_back(i);
  for (int64_t i = own + before; i < all; ++i) order.push_back(i);
  for (int64_t i = own; i < own + before; ++i) order.push_back(i);
  const Tensor positions = Tensor::from(order, {all});
  const Tensor token_counts = checked_lengths(looked_up(tokens_of, row_words), batch, all);

  const auto start = [&] {
    Tensor x = embed(ids);
    if (counts.defined() || words > given.size(1)) {
      x = mul(x, cast(by_length(row_words, words, 1.0, 0.0, x.device()), x.dtype()));
    }
    if (tokenizer) x = tokenizer->forward(x);
    if (before > 0) x = concat({slice(x, 1, before, x.size(1)), slice(x, 1, 0, before)}, 1);
    if (cls.defined()) x = concat({expand(cast(cls, x.dtype()), {batch, 1, options_.dim}), x}, 1);
    if (sinusoidal) x = sinusoidal->forward(x, positions);
    return dropout(x);
  };
  const AttentionContext context{.positions = position_ids(0, all), .lengths = token_counts};
  const Stream stream = blocks.run({batch, all, options_.dim}, compute_dtype(), start, context,
                                   options_.checkpointing);
  const Tensor x = norm->forward_sum(stream).second;
  if (!pool) return head(select(x, 1, 0));
  return head(pool->forward(x, options_.mask_pool ? token_counts : Tensor()));
}

double CompactText::flops() const {
  const int64_t all = tokens(options_.context);
  double total = 2.0 * static_cast<double>(head.weight.numel());
  if (tokenizer) total += tokenizer->flops({whole_words(options_.context)});
  for (const auto& block : blocks) total += block->flops(all);
  return total + (pool ? pool->flops(all) : 0.0);
}

}  // namespace heed::nn
