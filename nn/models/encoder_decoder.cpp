#include "nn/models/encoder_decoder.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/layout.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/view.h"
#include "autograd/trace.h"
#include "kernels/random/sampling.h"
#include "nn/attention/lengths.h"
#include "nn/attention/registry.h"
#include "nn/defaults.h"
#include "nn/init.h"

namespace heed::nn {
namespace {

constexpr int64_t kIgnored = -100;

struct Decoding : DecodeState {
  explicit Decoding(int64_t layers) : cache(layers) {}
  int64_t length() const override { return cache.length(); }
  int64_t bytes() const override {
    int64_t sum = cache.bytes();
    for (const CrossMemory& of_layer : memory)
      sum += of_layer.keys.bytes() + of_layer.values.bytes();
    return sum;
  }

  KvCache cache;
  std::vector<CrossMemory> memory;
  Tensor lengths;
};

int64_t decoder_depth(const EncoderDecoderOptions& o) {
  return o.decoder_layers > 0 ? o.decoder_layers : o.layers;
}

const EncoderDecoderOptions& checked(const EncoderDecoderOptions& o) {
  if (o.vocab <= 0) {
    fail_request("model encoder_decoder: `vocab` is not given (a recipe takes it from its data)");
  }
  if (o.start >= o.vocab) {
    fail_request("model encoder_decoder: start is {}, but there are {} ids", o.start, o.vocab);
  }
  const Config* type = o.attention.is_map() ? o.attention.find("type") : &o.attention;
  const std::string name = type == nullptr || type->is_null() ? "softmax" : type->as_string();
  if (o.position == "t5" && find_attention(name, o.attention.where()).name != "softmax") {
    fail_request(o.attention.where(),
                 fmt::format("model encoder_decoder: t5 positions are biases of scores, which "
                             "attention '{}' does not take; choose another `position`",
                             name));
  }
  return o;
}

// Variances as the positions want them: a tied embedding gives logits of size 1.
Init embedding_init(const EncoderDecoderOptions& o) {
  const double narrow = 1.0 / std::sqrt(static_cast<double>(o.dim));
  return init::normal(o.scaled_embedding || !o.scaled_logits ? narrow : 1.0);
}

TransformerBlockOptions block_options(const EncoderDecoderOptions& o, bool causal, int64_t layer) {
  TransformerBlockOptions b;
  b.dim = o.dim;
  b.heads = o.heads;
  b.head_dim = o.head_dim;
  b.hidden = o.hidden;
  b.mlp = o.mlp;
  b.norm = o.norm;
  b.norm_eps = o.norm_eps;
  b.norm_first = o.norm_first;
  b.bias = o.bias;
  b.causal = causal;
  if (o.position == "rotary") b.position = "rotary";
  b.dropout = o.dropout;
  b.attention_dropout = o.attention_dropout;
  b.init = init::xavier_uniform();
  b.attention = o.attention;
  b.layer = layer;
  b.layers = causal ? decoder_depth(o) : o.layers;
  return b;
}

CrossAttentionOptions cross_options(const EncoderDecoderOptions& o) {
  CrossAttentionOptions c;
  c.dim = o.dim;
  c.heads = o.heads;
  c.head_dim = o.head_dim;
  c.bias = o.bias;
  c.scale = o.cross_scale;
  c.dropout = o.attention_dropout;
  return c;
}

std::unique_ptr<T5Position> relative_position(const EncoderDecoderOptions& o, bool bidirectional) {
  return std::make_unique<T5Position>(T5PositionOptions{.heads = o.heads,
                                                        .buckets = o.buckets,
                                                        .max_distance = o.max_distance,
                                                        .bidirectional = bidirectional});
}

}  // namespace

DecoderBlock::DecoderBlock(const TransformerBlockOptions& o, const CrossAttentionOptions& c)
    : norm1(make_norm(o.norm, o.dim, o.norm_eps, o.bias)),
      norm_cross(make_norm(o.norm, o.dim, o.norm_eps, o.bias)),
      norm2(make_norm(o.norm, o.dim, o.norm_eps, o.bias)),
      attn(make_attention(o.attention, attention_host(o))),
      cross(c, {o.init, o.init}),
      mlp(make_feed_forward(o.mlp, o.dim, o.hidden, o.bias, 0.0, {o.init, o.init})),
      dropout1(o.dropout),
      dropout_cross(o.dropout),
      dropout2(o.dropout),
      norm_first_(o.norm_first) {
  children({{"norm1", *norm1}, {"attn", *attn}, {"norm_cross", *norm_cross}, {"cross", cross}});
  children({{"norm2", *norm2}, {"mlp", *mlp}});
  children({{"dropout1", dropout1}, {"dropout_cross", dropout_cross}, {"dropout2", dropout2}});
}

Tensor DecoderBlock::forward(const Tensor& in, const CrossMemory& memory, const Tensor& lengths,
                             const AttentionContext& context) {
  const auto attended = [&](const Tensor& y) { return dropout1(attn->forward(y, context)); };
  const auto crossed = [&](const Tensor& y) {
    return dropout_cross(cross.forward(y, memory, lengths));
  };
  const auto fed = [&](const Tensor& y) { return dropout2(mlp->forward(y)); };
  if (!norm_first_) {
    Tensor y = norm1->forward_add(in, attended(in)).second;
    y = norm_cross->forward_add(y, crossed(y)).second;
    return norm2->forward_add(y, fed(y)).second;
  }
  auto [y, normed] = norm_cross->forward_add(in, attended(norm1->forward(in)));
  std::tie(y, normed) = norm2->forward_add(y, crossed(normed));
  return add(y, fed(normed));
}

EncoderDecoder::EncoderDecoder(const EncoderDecoderOptions& o)
    : embed(checked(o).vocab, o.dim, embedding_init(o)),
      dropout(o.dropout),
      decoder_dropout(o.dropout),
      options_(o) {
  children({{"embed", embed}});
  if (o.position == "sinusoidal") {
    sinusoidal = std::make_unique<SinusoidalPosition>(SinusoidalPositionOptions{o.dim});
    children({{"sinusoidal", *sinusoidal}});
  } else if (o.position == "learned") {
    const LearnedPositionOptions table{.context = o.context, .dim = o.dim};
    position = std::make_unique<LearnedPosition>(table, embedding_init(o));
    decoder_position = std::make_unique<LearnedPosition>(table, embedding_init(o));
    children({{"position", *position}, {"decoder_position", *decoder_position}});
  } else if (o.position == "t5") {
    relative = relative_position(o, true);
    decoder_relative = relative_position(o, false);
    children({{"relative", *relative}, {"decoder_relative", *decoder_relative}});
  }
  for (int64_t i = 0; i < o.layers; ++i) encoder.emplace(block_options(o, false, i));
  for (int64_t i = 0; i < decoder_depth(o); ++i) {
    decoder.emplace(block_options(o, true, i), cross_options(o));
  }
  children({{"dropout", dropout}, {"decoder_dropout", decoder_dropout}});
  children({{"encoder", encoder}, {"decoder", decoder}});
  if (o.norm_first) {
    norm = make_norm(o.norm, o.dim, o.norm_eps, o.bias);
    decoder_norm = make_norm(o.norm, o.dim, o.norm_eps, o.bias);
    children({{"norm", *norm}, {"decoder_norm", *decoder_norm}});
  }
  if (!o.tied) {
    head = std::make_unique<Linear>(o.dim, o.vocab, false, init::xavier_uniform());
    children({{"head", *head}});
  }
}

Config EncoderDecoder::config() const {
  return with_defaults(Config(Config::Map{{"type", "encoder_decoder"}}), options_);
}

Tensor EncoderDecoder::embedded(const Tensor& ids, int64_t first, LearnedPosition* learned) {
  HEED_CHECK(ids.rank() == 2 && ids.numel() > 0, "encoder_decoder: ids must be [B, N], got {}",
             ids);
  HEED_CHECK(learned == nullptr || first + ids.size(1) <= options_.context,
             "encoder_decoder: {} tokens, but the learned positions end at the context of {}",
             first + ids.size(1), options_.context);
  Tensor x = embed(ids);
  if (options_.scaled_embedding) x = mul(x, std::sqrt(static_cast<double>(options_.dim)));
  if (learned != nullptr) x = learned->forward(x, position_ids(first, ids.size(1)));
  return sinusoidal ? sinusoidal->forward(x, position_ids(first, x.size(1))) : x;
}

Tensor EncoderDecoder::encode(const Tensor& ids, const Tensor& lengths) {
  Stream stream{dropout(embedded(ids, 0, position.get()))};
  AttentionContext context{.positions = position_ids(0, ids.size(1))};
  context.lengths = checked_lengths(lengths, ids.size(0), ids.size(1));
  if (relative) context.bias = relative->bias(ids.size(1), ids.size(1));
  for (const auto& block : encoder) stream = block->forward(stream, context);
  return norm ? norm->forward_sum(stream).second : sum_of(stream);
}

std::vector<CrossMemory> EncoderDecoder::memories(const Tensor& memory) {
  std::vector<CrossMemory> all;
  for (const auto& block : decoder) all.push_back(block->cross.project(memory));
  return all;
}

Tensor EncoderDecoder::run(const Tensor& ids, const std::vector<CrossMemory>& memory,
                           const Tensor& lengths, KvCache* cache) {
  const int64_t first = cache != nullptr ? cache->length() : 0, tokens = ids.size(1);
  Tensor y = decoder_dropout(embedded(ids, first, decoder_position.get()));
  AttentionContext context{.positions = position_ids(first, tokens), .cache = cache};
  if (decoder_relative) context.bias = decoder_relative->bias(tokens, first + tokens);
  for (size_t i = 0; i < decoder.size(); ++i) {
    context.layer = static_cast<int64_t>(i);
    y = decoder[i].forward(y, memory[i], lengths, context);
  }
  return decoder_norm ? decoder_norm->forward(y) : y;
}

Tensor EncoderDecoder::scaled(const Tensor& features) const {
  if (!options_.scaled_logits) return features;
  return mul(features, 1.0 / std::sqrt(static_cast<double>(options_.dim)));
}

Tensor EncoderDecoder::forward(const Tensor& ids, const Tensor& decoder_ids,
                               const Tensor& lengths) {
  HEED_CHECK(decoder_ids.rank() == 2 && decoder_ids.size(0) == ids.size(0),
             "encoder_decoder: wants as many texts, got {} and {}", ids, decoder_ids);
  return linear(scaled(run(decoder_ids, memories(encode(ids, lengths)), lengths, nullptr)),
                head_weight());
}

Tensor EncoderDecoder::decoder_ids(const Tensor& targets) const {
  HEED_CHECK(targets.rank() == 2 && targets.numel() > 0,
             "encoder_decoder: targets must be [B, M], got {}", targets);
  const int64_t tokens = targets.size(1);
  std::vector<int64_t> values = targets.to_vector<int64_t>();
  for (int64_t row = targets.size(0) - 1; row >= 0; --row) {
    int64_t* own = values.data() + row * tokens;
    std::copy_backward(own, own + tokens - 1, own + tokens);
    own[0] = options_.start;
    std::replace(own, own + tokens, kIgnored, options_.start);
  }
  const Tensor ids = Tensor::from(values, targets.shape());
  if (trace::on()) {
    trace::report("decoder_ids", {targets}, {ids},
                  {{"start", options_.start}, {"ignored", kIgnored}});
  }
  return ids;
}

Tensor EncoderDecoder::loss(const Tensor& ids, const Tensor& targets, const Tensor& lengths,
                            double smoothing) {
  const Tensor features =
      run(decoder_ids(targets), memories(encode(ids, lengths)), lengths, nullptr);
  return linear_cross_entropy(scaled(features), head_weight(), {}, targets,
                              {.ignore_index = kIgnored, .smoothing = smoothing});
}

std::unique_ptr<DecodeState> EncoderDecoder::start(const Tensor& ids, const Tensor& lengths,
                                                   int64_t copies) {
  HEED_CHECK(copies > 0, "encoder_decoder: start wants copies, got {}", copies);
  const NoGrad no_grad;
  auto state = std::make_unique<Decoding>(static_cast<int64_t>(decoder.size()));
  state->memory = memories(encode(ids, lengths));
  state->lengths = lengths;
  if (copies == 1) return state;
  const auto copied = [copies](const Tensor& x) {
    std::vector<int64_t> counts(static_cast<size_t>(x.rank()), 1);
    counts[0] = copies;
    return repeat(x, counts);
  };
  for (CrossMemory& memory : state->memory) {
    memory = {copied(memory.keys), copied(memory.values)};
  }
  if (lengths.defined()) state->lengths = copied(lengths);
  return state;
}

Tensor EncoderDecoder::decode(const Tensor& ids, DecodeState& state) {
  const NoGrad no_grad;
  auto* own = dynamic_cast<Decoding*>(&state);
  HEED_CHECK(own != nullptr, "encoder_decoder: decode wants the state that start() gave");
  const Tensor hidden = run(ids, own->memory, own->lengths, &own->cache);
  own->cache.advance(ids.size(1));
  return linear(scaled(select(hidden, 1, hidden.size(1) - 1)), head_weight());
}

void EncoderDecoder::reorder(DecodeState& state, const Tensor& rows) const {
  auto* own = dynamic_cast<Decoding*>(&state);
  HEED_CHECK(own != nullptr, "encoder_decoder: reorder wants the state that start() gave");
  own->cache.reorder(rows);
}

Tensor EncoderDecoder::generate(const Tensor& ids, const Tensor& lengths,
                                const GenerateOptions& o) {
  HEED_CHECK(o.tokens > 0 && o.temperature >= 0.0,
             "encoder_decoder: generate wants tokens and a temperature >= 0, got {} and {}",
             o.tokens, o.temperature);
  HEED_CHECK(o.ids >= 0 && o.ids <= options_.vocab, "encoder_decoder: {} ids may be written of {}",
             o.ids, options_.vocab);
  const NoGrad no_grad;
  const int64_t batch = ids.size(0);
  const std::unique_ptr<DecodeState> state = start(ids, lengths);
  std::vector<int64_t> last(static_cast<size_t>(batch), options_.start);
  std::vector<char> ended(last.size(), 0);
  std::vector<Tensor> columns;
  for (int64_t t = 0; t < o.tokens; ++t) {
    Tensor logits = cast(decode(Tensor::from(last, {batch, 1}), *state), DType::f32);
    if (o.ids > 0) logits = slice(logits, 1, 0, o.ids);
    last = kernels::categorical(logits, o.key.derive(static_cast<uint64_t>(t)), o.temperature)
               .to_vector<int64_t>();
    for (size_t b = 0; b < last.size(); ++b) {
      if (ended[b]) last[b] = o.end;
      ended[b] = ended[b] || last[b] == o.end;
    }
    columns.push_back(Tensor::from(last, {batch, 1}));
    if (std::all_of(ended.begin(), ended.end(), [](char over) { return over != 0; })) break;
  }
  return concat(columns, 1);
}

double EncoderDecoder::flops(int64_t tokens, int64_t decoder_tokens) const {
  double total = 0.0;
  for (const auto& block : encoder) total += block->flops(tokens);
  for (const auto& block : decoder) {
    total += block->attn->flops(decoder_tokens) + block->cross.flops(decoder_tokens, tokens) +
             block->mlp->flops_per_token() * static_cast<double>(decoder_tokens);
  }
  return total + 2.0 * static_cast<double>(options_.vocab * options_.dim * decoder_tokens);
}

}  // namespace heed::nn
