#include "nn/models/gpt.h"

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/view.h"
#include "nn/attention/paged_kv_cache.h"
#include "nn/attention/registry.h"
#include "nn/defaults.h"
#include "nn/extra_losses.h"
#include "nn/init.h"

namespace heed::nn {
namespace {

// GPT-2's start: normal weights, those that write to the residual stream smaller by the square
// root of the number of such additions.
BlockInit block_init(const GptOptions& options) {
  const double additions = 2.0 * static_cast<double>(options.layers);
  return {init::normal(options.init_std), init::normal(options.init_std / std::sqrt(additions))};
}

AttentionHost attention_host(const GptOptions& options, int64_t layer) {
  AttentionHost host;
  host.dim = options.dim;
  host.heads = options.heads;
  host.kv_heads = options.kv_heads;
  host.head_dim = options.head_dim;
  host.causal = true;
  if (options.position == "rotary" || options.position == "alibi") host.position = options.position;
  host.rope_base = options.rope_base;
  host.rotary_dim = options.rotary_dim;
  host.rope_scaling = options.rope_scaling;
  host.bias = options.bias;
  host.qkv_bias = options.qkv_bias;
  host.out_bias = options.out_bias;
  host.qk_norm = options.qk_norm;
  host.norm_eps = options.norm_eps;
  host.dropout = options.attention_dropout.value_or(options.dropout);
  host.layer = layer;
  host.layers = options.layers;
  host.init = block_init(options);
  return host;
}

// Layers take the mechanisms in turn, each as many in a row as it is for.
const Config& attention_of(const GptOptions& options, int64_t layer) {
  int64_t turn = 0;
  for (const LayerAttention& entry : options.attentions) turn += entry.layers;
  int64_t left = turn == 0 ? 0 : layer % turn;
  for (const LayerAttention& entry : options.attentions) {
    if (left < entry.layers) return entry.attention;
    left -= entry.layers;
  }
  return options.attention;
}

const GptOptions& checked(const GptOptions& options) {
  if (options.vocab <= 0) {
    fail_request("model gpt: `vocab` is not given (a recipe takes it from its tokenizer)");
  }
  HEED_CHECK(options.layers > 0 && options.dim > 0 && options.context > 0,
             "gpt: needs positive layers, dim and context, got {}, {}, {}", options.layers,
             options.dim, options.context);
  return options;
}

}  // namespace

GptBlock::GptBlock(const GptOptions& options, int64_t layer)
    : norm1(make_norm(options.norm, options.dim, options.norm_eps, options.bias)),
      norm2(make_norm(options.norm, options.dim, options.norm_eps, options.bias)),
      attn(make_attention(attention_of(options, layer), attention_host(options, layer))),
      mlp(make_feed_forward(options.mlp, options.dim, options.hidden, options.bias,
                            options.mlp_dropout, block_init(options))),
      attn_dropout(options.residual_dropout.value_or(options.dropout)),
      mlp_dropout(options.residual_dropout.value_or(options.dropout)),
      parallel_(options.parallel_residual) {
  children({{"norm1", *norm1}, {"attn", *attn}, {"norm2", *norm2}, {"mlp", *mlp}});
  children({{"attn_dropout", attn_dropout}, {"mlp_dropout", mlp_dropout}});
}

Stream GptBlock::forward(const Stream& in, const AttentionContext& context) {
  auto [x, normed] = norm1->forward_sum(in);
  const Tensor attended = attn_dropout((*attn)(normed, context));
  if (parallel_) return {x, add(attended, mlp_dropout((*mlp)((*norm2)(x))))};
  std::tie(x, normed) = norm2->forward_add(x, attended);
  return {x, mlp_dropout((*mlp)(normed))};
}

Gpt::Gpt(const GptOptions& options)
    : embed(checked(options).vocab, options.dim, init::normal(options.init_std)),
      dropout(options.embedding_dropout.value_or(options.dropout)),
      norm(make_norm(options.norm, options.dim, options.norm_eps, options.bias)),
      options_(options) {
  children({{"embed", embed}});
  if (options.channels == 2) {
    second =
        std::make_unique<Embedding>(options.vocab, options.dim, init::normal(options.init_std));
    children({{"second", *second}});
  }
  if (options.position == "learned") {
    position = std::make_unique<LearnedPosition>(
        LearnedPositionOptions{.context = options.context, .dim = options.dim},
        init::normal(options.init_std));
    children({{"position", *position}});
  } else if (options.position == "sinusoidal") {
    sinusoidal = std::make_unique<SinusoidalPosition>(beside_embedding(options.dim));
    children({{"sinusoidal", *sinusoidal}});
  }
  for (int64_t layer = 0; layer < options.layers; ++layer) blocks.emplace(options, layer);
  children({{"dropout", dropout}, {"blocks", blocks}, {"norm", *norm}});
  if (!options.tied) {
    head =
        std::make_unique<Linear>(options.dim, options.vocab, false, init::normal(options.init_std));
    children({{"head", *head}});
  }
}

Config Gpt::config() const { return with_defaults(Config(Config::Map{{"type", "gpt"}}), options_); }

std::string Gpt::cannot_pack() const {
  int64_t layer = 0;
  for (const auto& block : blocks) {
    if (block->attn->packs_documents()) {
      ++layer;
      continue;
    }
    const Config* type = attention_of(options_, layer).find("type");
    return fmt::format(
        "attention '{}' of layer {} cannot keep packed documents apart: what a token sees there "
        "depends on more than its own document; softmax can, and window without sinks",
        type == nullptr ? "softmax" : type->as_string(), layer);
  }
  return "";
}

void Gpt::pack(const PackedDocuments& documents, const Shape& rows,
               AttentionContext& context) const {
  if (!documents.ids.defined()) return;
  if (const std::string why = cannot_pack(); !why.empty()) fail_request("model gpt: {}", why);
  HEED_CHECK(documents.ids.shape() == rows && documents.ids.dtype() == DType::i64,
             "gpt: documents must be i64 {}, got {}", rows, documents.ids);
  const std::vector<int64_t> ids = documents.ids.to_vector<int64_t>();
  context.pairs = AttentionPattern::segments({ids.begin(), ids.end()}, rows[0]);
  if (!documents.restart) return;
  Tensor positions = Tensor::empty(rows, DType::i64);
  auto* out = positions.data<int64_t>();
  for (size_t i = 0; i < ids.size(); ++i) {
    const bool first = i % static_cast<size_t>(rows[1]) == 0 || ids[i] != ids[i - 1];
    out[i] = first ? 0 : out[i - 1] + 1;
  }
  context.positions = token_split() ? token_split()->own(positions) : positions;
}

Tensor Gpt::run(const Tensor& ids, const PackedDocuments& documents, KvCache* cache) {
  const bool embedded = is_floating(ids.dtype());
  HEED_CHECK(ids.numel() > 0 && (embedded ? ids.rank() == 3 && ids.size(2) == options_.dim
                                 : second ? ids.rank() == 3 && ids.size(2) == 2
                                          : ids.rank() == 2),
             "gpt: ids must be {}, or embeddings [B, N, {}], got {}",
             second ? "[B, N, 2]" : "[B, N]", options_.dim, ids);
  const int64_t first = cache ? cache->length() : 0, tokens = ids.size(1);
  HEED_CHECK(!position || first + tokens <= options_.context,
             "gpt: {} tokens, but the model's learned positions end at its context of {}",
             first + tokens, options_.context);
  const TokenSplit* split = cache == nullptr ? token_split() : nullptr;
  AttentionContext context{
      .positions = split ? split->positions(tokens) : position_ids(first, tokens), .cache = cache};
  const int64_t own_tokens = context.positions.numel();
  pack(documents, {ids.size(0), tokens}, context);
  const auto start = [&] {
    const Tensor own = split ? split->own(ids) : ids;
    Tensor x = embedded ? cast(own, compute_dtype()) : embed(second ? select(own, 2, 0) : own);
    if (second && !embedded) x = add(x, second->forward(select(own, 2, 1)));
    if (position) x = position->forward(x, context.positions);
    if (sinusoidal) x = sinusoidal->forward(x, context.positions);
    return dropout(x);
  };
  const Shape shape{ids.size(0), own_tokens, options_.dim};
  const Stream stream = blocks.run(shape, compute_dtype(), start, context, options_.checkpointing);
  return norm->forward_sum(stream).second;
}

Tensor Gpt::logits(const Tensor& hidden) {
  return whole_of(vocabulary_, linear(hidden, head_weight()), options_.vocab);
}

void Gpt::split_vocabulary(const TensorSplitPointer& split) {
  embed.split_rows(split);
  if (second) second->split_rows(split);
  if (head) head->split_columns(split);
  vocabulary_ = split;
}

Tensor Gpt::features(const Tensor& ids) {
  const Tensor own = run(ids, {});
  return token_split() ? token_split()->whole(own) : own;
}

Tensor Gpt::forward(const Tensor& ids, const PackedDocuments& documents) {
  const Tensor own = logits(run(ids, documents));
  return token_split() ? token_split()->whole(own) : own;
}

Tensor Gpt::loss(const Tensor& ids, const Tensor& targets, const PackedDocuments& documents) {
  const ExtraLosses extra;
  return extra.added_to(
      mean_over_tokens(token_split(), targets, [&](const Tensor& own, Reduction reduction) {
        return linear_cross_entropy(
            run(ids, documents), head_weight(), {}, own,
            {.reduction = reduction, .shared = classes_of(vocabulary_, options_.vocab)});
      }));
}

Tensor Gpt::loss_rows(const Tensor& ids, const Tensor& targets, const PackedDocuments& documents) {
  const NoGrad no_grad;
  const TokenSplit* split = token_split();
  const Tensor rows = linear_cross_entropy_rows(
      run(ids, documents), head_weight(), {}, split ? split->own(targets) : targets,
      {.shared = classes_of(vocabulary_, options_.vocab)});
  return split ? split->whole(rows) : rows;
}

std::unique_ptr<DecodeState> Gpt::start() const {
  if (options_.cache_page > 0)
    return std::make_unique<PagedKvCache>(options_.layers, options_.cache_page);
  return std::make_unique<KvCache>(options_.layers);
}

Tensor Gpt::decode(const Tensor& ids, DecodeState& state) {
  const NoGrad no_grad;
  auto* cache = dynamic_cast<KvCache*>(&state);
  HEED_CHECK(cache != nullptr, "gpt: decode wants the state that start() gave");
  const Tensor hidden = run(ids, {}, cache);
  cache->advance(ids.size(1));
  return logits(select(hidden, 1, hidden.size(1) - 1));
}

double Gpt::flops_per_token(int64_t tokens) const {
  double flops = 2.0 * static_cast<double>(options_.vocab * options_.dim);
  for (const auto& block : blocks) {
    flops += block->attn->flops(tokens) / static_cast<double>(tokens);
    flops += block->mlp->flops_per_token();
  }
  return flops;
}

}  // namespace heed::nn
