#include "nn/models/vit.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "nn/defaults.h"
#include "nn/init.h"

namespace heed::nn {
namespace {

constexpr double kInitStd = 0.02;

TransformerBlockOptions block_options(const VitOptions& o, int64_t layer) {
  TransformerBlockOptions block;
  block.dim = o.dim;
  block.heads = o.heads;
  block.hidden = o.hidden;
  block.mlp = o.mlp;
  block.norm = o.norm;
  block.norm_eps = o.norm_eps;
  block.normed_stream = o.normed_stream;
  block.qkv_bias = o.qkv_bias;
  if (o.position == "rotary") block.position = "rotary";
  block.dropout = o.dropout;
  block.attention_dropout = o.attention_dropout;
  block.drop_path = drop_path_of_layer(o.drop_path, layer, o.layers);
  block.layer_scale = o.layer_scale;
  block.init = init::truncated_normal(kInitStd);
  block.attention = o.attention;
  block.layer = layer;
  block.layers = o.layers;
  return block;
}

const VitOptions& checked(const VitOptions& o) {
  if (o.classes <= 0 || o.height <= 0 || o.width <= 0) {
    fail_request(
        "model vit: `classes`, `height` and `width` are not given (a recipe takes them "
        "from its data)");
  }
  if (o.stem == "patch" && (o.height % o.patch != 0 || o.width % o.patch != 0)) {
    fail_request("model vit: patches of {} do not tile images of {} x {}", o.patch, o.height,
                 o.width);
  }
  return o;
}

}  // namespace

Vit::Vit(const VitOptions& o)
    : dropout(checked(o).dropout),
      norm(make_norm(o.norm, o.dim, o.norm_eps, true)),
      head(o.dim, o.classes, true, init::truncated_normal(kInitStd)),
      options_(o) {
  if (o.stem == "patch") {
    patch_embed = std::make_unique<PatchEmbed>(
        PatchEmbedOptions{.channels = o.channels, .dim = o.dim, .patch = o.patch},
        o.stem_init == "kaiming" ? init::kaiming_normal() : Init{});
    children({{"patch_embed", *patch_embed}});
  } else {
    tokenizer = std::make_unique<ConvTokenizer>(tokenizer_options(o));
    children({{"tokenizer", *tokenizer}});
  }
  if (o.pool == "cls") {
    cls = Tensor::empty({1, 1, o.dim});
    parameters({{"cls", cls, init::truncated_normal(kInitStd)}});
  }
  if (o.registers > 0) {
    registers = Tensor::empty({1, o.registers, o.dim});
    parameters({{"registers", registers, init::truncated_normal(kInitStd)}});
  }
  if (o.position == "learned") {
    position = std::make_unique<LearnedPosition>(
        LearnedPositionOptions{.context = vit_tokens(o), .dim = o.dim},
        init::truncated_normal(o.position_std));
    children({{"position", *position}});
  } else if (o.position == "sinusoidal") {
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

Tensor Vit::resized_table(const std::string& name, const Tensor& given) const {
  if (name != "position.weight") return {};
  const Shape grid = vit_grid(options_);
  return resized_rows(given, vit_globals(options_), grid[0], grid[1]);
}

ClassifierInput Vit::input() const {
  return ClassifierInput::images(options_.height, options_.width, options_.channels);
}

Config Vit::config() const { return with_defaults(Config(Config::Map{{"type", "vit"}}), options_); }

Tensor Vit::patches(const Tensor& images) {
  if (tokenizer) return tokenizer->forward(images);
  return reshape(patch_embed->forward(images), {images.size(0), -1, options_.dim});
}

Tensor Vit::features(const Tensor& images) {
  HEED_CHECK(images.rank() == 4 && images.size(1) == options_.height &&
                 images.size(2) == options_.width && images.size(3) == options_.channels,
             "vit: wants images [B, {}, {}, {}], got {}", options_.height, options_.width,
             options_.channels, images);
  const int64_t batch = images.size(0), tokens = vit_tokens(options_);
  const TokenSplit* split = token_split();
  const AttentionContext context{
      .positions = split ? split->positions(tokens) : position_ids(0, tokens),
      .grid = vit_grid(options_),
      .globals = vit_globals(options_)};
  const auto start = [&] {
    Tensor x = patches(cast(images, compute_dtype()));
    const auto of_each_image = [&](const Tensor& learned) {
      return expand(cast(learned, x.dtype()), {batch, learned.size(1), options_.dim});
    };
    if (registers.defined()) x = concat({of_each_image(registers), x}, 1);
    if (cls.defined()) x = concat({of_each_image(cls), x}, 1);
    if (split) x = split->own(x);
    if (position) x = position->forward(x, context.positions);
    if (sinusoidal) x = sinusoidal->forward(x, context.positions);
    return dropout(x);
  };
  const Shape shape{batch, context.positions.numel(), options_.dim};
  const Stream stream = blocks.run(shape, compute_dtype(), start, context, options_.checkpointing);
  const Tensor own = norm->forward_sum(stream).second;
  return split ? split->whole(own) : own;
}

Tensor Vit::forward(const Tensor& images, const Tensor& lengths) {
  HEED_CHECK(!lengths.defined(), "vit: images take no lengths");
  const Tensor x = features(images);
  if (pool) return head(pool->forward(x));
  return head(cls.defined() ? select(x, 1, 0) : mean(x, {1}));
}

double Vit::flops() const {
  const int64_t tokens = vit_tokens(options_);
  double total = 2.0 * static_cast<double>(head.weight.numel());
  if (tokenizer) {
    total += tokenizer->flops({options_.height, options_.width});
  } else {
    total += 2.0 * static_cast<double>(patch_embed->conv.weight.numel()) *
             static_cast<double>(vit_grid(options_).numel());
  }
  for (const auto& block : blocks) total += block->flops(tokens);
  return total + (pool ? pool->flops(tokens) : 0.0);
}

}  // namespace heed::nn
