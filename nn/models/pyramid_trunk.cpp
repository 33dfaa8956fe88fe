#include "nn/models/pyramid_trunk.h"

#include <algorithm>
#include <numeric>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/interpolate.h"
#include "autograd/ops/layout.h"
#include "nn/init.h"

namespace heed::nn {
namespace {

const PyramidOptions& checked(const PyramidOptions& o) {
  if (o.position == "learned" && (o.height <= 0 || o.width <= 0)) {
    fail_request("model: learned positions need the image's `height` and `width`");
  }
  return o;
}

// Of matrices, and of convolutions between all channels; the latter's default when empty.
Init matrix_init(const PyramidOptions& o) {
  return o.init == "fan_out" ? init::kaiming_normal_out() : init::truncated_normal(o.init_std);
}
Init conv_init(const PyramidOptions& o) {
  return o.init == "fan_out" ? init::kaiming_normal_out() : Init{};
}

// Block i of a stage takes the stage's i-th mechanism, round and round.
const Config& attention_of(const PyramidOptions& o, size_t stage, int64_t block) {
  std::vector<const Config*> own;
  for (const StageAttention& entry : o.attentions) {
    const auto number = static_cast<int64_t>(stage) + 1;
    const bool here = entry.stages.empty() || std::find(entry.stages.begin(), entry.stages.end(),
                                                        number) != entry.stages.end();
    if (here) own.push_back(&entry.attention);
  }
  return own.empty() ? o.attention : *own[static_cast<size_t>(block) % own.size()];
}

PyramidBlockOptions block_options(const PyramidOptions& o, size_t stage, int64_t block,
                                  int64_t layer) {
  PyramidBlockOptions b;
  b.dim = o.dims[stage];
  b.heads = o.heads[stage];
  const double ratio = o.mlp_ratios[o.mlp_ratios.size() == 1 ? 0 : stage];
  b.hidden = static_cast<int64_t>(ratio * static_cast<double>(b.dim));
  b.mlp = o.mlp;
  b.mlp_conv = o.mlp_conv;
  b.norm = o.norm;
  b.norm_eps = o.norm_eps;
  b.conv_position = o.conv_position;
  b.dropout = o.dropout;
  b.attention_dropout = o.attention_dropout;
  b.layer = layer;
  b.layers = std::accumulate(o.depths.begin(), o.depths.end(), int64_t{0});
  b.drop_path = drop_path_of_layer(o.drop_path, layer, b.layers);
  b.layer_scale = o.layer_scale;
  b.init = matrix_init(o);
  b.fan_out = o.init == "fan_out";
  b.attention = attention_of(o, stage, block);
  return b;
}

}  // namespace

StageEmbed::StageEmbed(const PyramidOptions& o, size_t stage) {
  const int64_t out = o.dims[stage];
  if (stage > 0 && o.downsample == "merge") {
    merge = std::make_unique<PatchMerging>(
        PatchMergingOptions{.dim = o.dims[stage - 1], .out = out, .eps = o.norm_eps},
        matrix_init(o));
    children({{"merge", *merge}});
    return;
  }
  const auto conv = [this, &o](int64_t in, int64_t width, int64_t kernel, int64_t stride,
                               int64_t padding, bool bias) {
    convs.emplace(ConvLayerOptions{.in = in,
                                   .out = width,
                                   .kernel = {kernel},
                                   .stride = {stride},
                                   .padding = {padding},
                                   .bias = bias},
                  conv_init(o));
  };
  int64_t normed = out;
  if (stage > 0 && o.downsample == "conv") {
    conv(o.dims[stage - 1], out, 3, 2, 1, o.downsample_bias);
  } else if (stage > 0) {
    norm_first_ = true;
    normed = o.dims[stage - 1];
    conv(normed, out, 2, 2, 0, o.downsample_bias);
  } else if (o.stem == "patch") {
    conv(o.channels, out, o.patch, o.patch, 0, true);
  } else if (o.stem == "overlapping") {
    conv(o.channels, out, 2 * o.patch - 1, o.patch, o.patch - 1, true);
  } else {
    int64_t in = o.channels;
    for (int64_t left = o.patch; left > 1; left /= 2) {
      const int64_t width = left > 2 ? out / 2 : out;
      conv(in, width, 3, 2, 1, true);
      in = width;
    }
  }
  norm = make_norm(o.embed_norm, normed, o.norm_eps, true);
  children({{"convs", convs}, {"norm", *norm}});
}

Tensor StageEmbed::forward(const Tensor& in) {
  if (merge) return merge->forward(in);
  Tensor x = norm_first_ ? norm->forward(in) : in;
  for (const auto& conv : convs) {
    // Patches side by side: zeros complete the last ones.
    const int64_t step = conv->geometry.stride[0];
    const bool tiles = conv->geometry.padding[0] == 0 && conv->weight.size(1) == step;
    const int64_t below = (step - x.size(1) % step) % step;
    const int64_t beside = (step - x.size(2) % step) % step;
    if (tiles && below + beside > 0) x = pad(x, {{1, 0, below}, {2, 0, beside}});
    x = conv->forward(x);
  }
  return norm_first_ ? x : norm->forward(x);
}

double StageEmbed::flops(int64_t& height, int64_t& width) const {
  if (merge) {
    height = (height + 1) / 2;
    width = (width + 1) / 2;
    return 2.0 * static_cast<double>(merge->reduction.weight.numel() * height * width);
  }
  double total = 0.0;
  for (const auto& conv : convs) {
    const int64_t step = conv->geometry.stride[0];
    if (conv->geometry.padding[0] == 0) {
      height = (height + step - 1) / step * step;
      width = (width + step - 1) / step * step;
    }
    total += conv->flops(height, width);
  }
  return total;
}

PyramidTrunk::PyramidTrunk(const PyramidOptions& o, bool every_norm)
    : options(checked(o)), dropout(o.dropout) {
  int64_t layer = 0;
  for (size_t stage = 0; stage < o.depths.size(); ++stage) {
    embeds.emplace(o, stage);
    ModuleList<PyramidBlock>& blocks = stages.emplace();
    for (int64_t block = 0; block < o.depths[stage]; ++block) {
      blocks.emplace(block_options(o, stage, block, layer++));
    }
    if (o.stage_norms || every_norm || stage + 1 == o.depths.size()) {
      const double eps = o.end_norm_eps > 0.0 ? o.end_norm_eps : o.norm_eps;
      norms.append(make_norm(o.end_norm, o.dims[stage], eps, true));
    }
  }
  if (o.position != "learned") return;
  int64_t height = o.height, width = o.width;
  embeds[0].flops(height, width);
  position = Tensor::empty({1, height, width, o.dims[0]});
}

Tensor PyramidTrunk::resized_position(const Tensor& given) const {
  if (!position.defined() || given.rank() != 4) return {};
  const NoGrad no_grad;
  return interpolate(given, {position.size(1), position.size(2)}, Interpolation::cubic);
}

Init PyramidTrunk::position_init() const { return init::truncated_normal(options.init_std); }

std::vector<Tensor> PyramidTrunk::maps(const Tensor& images, DType compute) {
  HEED_CHECK(images.rank() == 4 && images.size(3) == options.channels,
             "pyramid: wants images [B, H, W, {}], got {}", options.channels, images);
  const bool again = options.checkpointing && recording();
  std::vector<Tensor> maps;
  Tensor x = cast(images, compute);
  for (size_t stage = 0; stage < stages.size(); ++stage) {
    x = embeds[stage].forward(x);
    if (stage == 0 && position.defined()) {
      HEED_CHECK(x.size(1) == position.size(1) && x.size(2) == position.size(2),
                 "pyramid: learned positions for maps of {} x {}, got {}", position.size(1),
                 position.size(2), x);
      x = add(x, cast(position, x.dtype()));
    }
    if (stage == 0) x = dropout(x);
    for (const auto& block : stages[stage]) {
      x = again ? block->forward_checkpointed(x) : block->forward(x);
    }
    if (options.stage_norms) x = norms[stage].forward(x);
    maps.push_back(x);
  }
  return maps;
}

double PyramidTrunk::flops(int64_t height, int64_t width, std::vector<int64_t>* pixels) const {
  HEED_CHECK(height > 0 && width > 0, "pyramid: no image size to count operations for");
  double total = 0.0;
  auto blocks = stages.begin();
  for (const auto& embed : embeds) {
    total += embed->flops(height, width);
    for (const auto& block : **blocks++) total += block->flops(height * width);
    if (pixels != nullptr) pixels->push_back(height * width);
  }
  return total;
}

}  // namespace heed::nn
