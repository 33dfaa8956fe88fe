#include "nn/models/routing_transformer.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/view.h"
#include "nn/defaults.h"
#include "nn/extra_losses.h"
#include "nn/init.h"
#include "nn/layers/online_kmeans.h"

namespace heed::nn {
namespace {

constexpr double kVariance = 0.2;  // the published "initializer_gain"

/// Uniform of variance kVariance over the mean of rows and columns.
Init scaled() { return init::xavier_uniform(std::sqrt(kVariance)); }
/// The same for a matrix [rows, columns] of which a weight holds several, one above another.
Init scaled(int64_t rows, int64_t columns) {
  const double bound = std::sqrt(6.0 * kVariance / static_cast<double>(rows + columns));
  return init::uniform(-bound, bound);
}

const RoutingTransformerOptions& checked(const RoutingTransformerOptions& o) {
  if (o.vocab <= 0) {
    fail_request(
        "model routing_transformer: `vocab` is not given (a recipe takes it from its tokenizer)");
  }
  return o;
}

TransformerBlockOptions block_options(const RoutingTransformerOptions& o, int64_t layer) {
  TransformerBlockOptions block;
  block.dim = o.dim;
  block.heads = o.heads;
  block.hidden = o.hidden;
  block.mlp = o.mlp;
  block.norm_eps = o.norm_eps;
  block.norm_first = false;
  block.qkv_bias = false;
  block.out_bias = false;
  block.mlp_bias = o.mlp != "geglu" && o.mlp != "swiglu";
  block.causal = true;
  block.dropout = o.dropout;
  block.attention_dropout = o.attention_dropout;
  block.mlp_dropout = o.mlp_dropout;
  block.init = scaled(o.dim, o.dim);
  block.mlp_init = scaled(o.hidden, o.dim);
  block.attention = o.attention();
  block.layer = layer;
  block.layers = o.layers;
  return block;
}

// positions [N] -> f(position) [N]
template <class F>
Tensor each(const Tensor& positions, const F& f) {
  std::vector<int64_t> values = positions.to_vector<int64_t>();
  std::transform(values.begin(), values.end(), values.begin(), f);
  return Tensor::from(values, positions.shape());
}

}  // namespace

RoutingTransformer::RoutingTransformer(const RoutingTransformerOptions& given)
    : token_dropout(given.token_dropout),
      embed(checked(given).vocab * std::max<int64_t>(given.channels, 1), given.embedding_width(),
            scaled()),
      embedding_dropout(given.embedding_dropout),
      dropout(given.dropout),
      head(given.embedding_width(), given.vocab, true, scaled()),
      options_(given) {
  RoutingTransformerOptions& o = options_;
  if (o.hidden == 0) o.hidden = 3 * o.dim;
  children({{"token_dropout", token_dropout}, {"embed", embed}});
  children({{"embedding_dropout", embedding_dropout}});
  if (o.channels > 0) {
    // The published tables have a row of channels x D features for each of the longest side's
    // pixels: here channels rows of D.
    const int64_t height = o.context / (o.width * o.channels);
    const int64_t side = std::max({height, o.width, o.channels});
    const LearnedPositionOptions table{.context = side * o.channels, .dim = o.dim};
    rows = std::make_unique<LearnedPosition>(table, init::normal(1.0));
    columns = std::make_unique<LearnedPosition>(table, init::normal(1.0));
    children({{"rows", *rows}, {"columns", *columns}});
  } else {
    input = std::make_unique<Linear>(o.embedding_width(), o.dim, true, scaled());
    children({{"input", *input}});
  }
  for (int64_t layer = 0; layer < o.layers; ++layer) blocks.emplace(block_options(o, layer));
  children({{"dropout", dropout}, {"blocks", blocks}});
  if (o.embedding_width() != o.dim) {
    output = std::make_unique<Linear>(o.dim, o.embedding_width(), true, scaled());
    children({{"output", *output}});
  }
  children({{"head", head}});
}

Config RoutingTransformer::config() const {
  return with_defaults(Config(Config::Map{{"type", "routing_transformer"}}), options_);
}

Tensor RoutingTransformer::embedded(const Tensor& ids, const Tensor& positions) {
  const int64_t channels = options_.channels, width = options_.width;
  if (channels == 0) return (*input)(embedding_dropout(embed(ids)));
  // As published: an id is that of the pixel before, the channel that of the pixel to come.
  std::vector<int64_t> ids_by_channel = ids.to_vector<int64_t>();
  const std::vector<int64_t> at = positions.to_vector<int64_t>();
  for (size_t i = 0; i < ids_by_channel.size(); ++i) {
    HEED_CHECK(ids_by_channel[i] >= 0 && ids_by_channel[i] < options_.vocab,
               "routing_transformer: id {} is outside [0, {})", ids_by_channel[i], options_.vocab);
    ids_by_channel[i] += at[i % at.size()] % channels * options_.vocab;
  }
  Tensor x = mul(embed(Tensor::from(ids_by_channel, ids.shape())),
                 std::sqrt(static_cast<double>(options_.dim)));
  x = rows->forward(x, each(positions, [=](int64_t p) {
                      return p / (width * channels) * channels + p % channels;
                    }));
  x = columns->forward(x, each(positions, [=](int64_t p) {
                         return p / channels % width * channels + p % channels;
                       }));
  return embedding_dropout(x);
}

Tensor RoutingTransformer::run(const Tensor& ids, KvCache* cache) {
  HEED_CHECK(ids.rank() == 2 && ids.numel() > 0, "routing_transformer: ids must be [B, N], got {}",
             ids);
  const int64_t first = cache ? cache->length() : 0, tokens = ids.size(1);
  HEED_CHECK(extrapolates() || first + tokens <= options_.context,
             "routing_transformer: {} tokens, but an image has {}", first + tokens,
             options_.context);
  const AttentionContext context{.positions = position_ids(first, tokens), .cache = cache};
  const auto begin = [&] {
    return dropout(embedded(token_dropout.forward(ids), context.positions));
  };
  const Shape shape{ids.size(0), tokens, options_.dim};
  const Tensor x =
      sum_of(blocks.run(shape, compute_dtype(), begin, context, options_.checkpointing));
  return output ? (*output)(x) : x;
}

Tensor RoutingTransformer::forward(const Tensor& ids, const PackedDocuments& documents) {
  HEED_CHECK(!documents.ids.defined(), "{}", cannot_pack());
  return head(run(ids));
}

Tensor RoutingTransformer::loss(const Tensor& ids, const Tensor& targets,
                                const PackedDocuments& documents) {
  HEED_CHECK(!documents.ids.defined(), "{}", cannot_pack());
  const ExtraLosses extra;
  return extra.added_to(linear_cross_entropy(run(ids), head.whole_weight(), head.bias, targets));
}

Tensor RoutingTransformer::loss_rows(const Tensor& ids, const Tensor& targets,
                                     const PackedDocuments& documents) {
  HEED_CHECK(!documents.ids.defined(), "{}", cannot_pack());
  const NoGrad no_grad;
  return linear_cross_entropy_rows(run(ids), head.whole_weight(), head.bias, targets);
}

std::unique_ptr<DecodeState> RoutingTransformer::start() const {
  return std::make_unique<KvCache>(options_.layers);
}

Tensor RoutingTransformer::decode(const Tensor& ids, DecodeState& state) {
  const NoGrad no_grad;
  auto* cache = dynamic_cast<KvCache*>(&state);
  HEED_CHECK(cache != nullptr, "routing_transformer: decode wants the state that start() gave");
  const Tensor states = run(ids, cache);
  cache->advance(ids.size(1));
  return head(select(states, 1, states.size(1) - 1));
}

double RoutingTransformer::flops_per_token(int64_t tokens) const {
  double flops = 2.0 * static_cast<double>(head.weight.numel());
  if (input) flops += 2.0 * static_cast<double>(input->weight.numel());
  if (output) flops += 2.0 * static_cast<double>(output->weight.numel());
  for (const auto& block : blocks) flops += block->flops(tokens) / static_cast<double>(tokens);
  return flops;
}

int64_t RoutingTransformer::published_count() {
  int64_t count = parameter_count();
  for (const auto& [path, module] : named_modules()) {
    if (auto* means = dynamic_cast<OnlineKMeans*>(module)) count += means->centroids.numel();
  }
  return count;
}

}  // namespace heed::nn
