#include "nn/layers/patch_embed.h"

#include "autograd/ops/matmul.h"
#include "autograd/ops/view.h"

namespace heed::nn {
namespace {

ConvLayerOptions conv_options(const PatchEmbedOptions& o) {
  return {.in = o.channels,
          .out = o.dim,
          .kernel = {o.patch},
          .stride = {o.stride > 0 ? o.stride : o.patch},
          .padding = {o.padding},
          .bias = o.bias};
}

}  // namespace

void PatchEmbedOptions::options(Options& o) {
  o.field("channels", channels, "channels of the image", {.min = 1});
  o.field("dim", dim, "features of a token", {.min = 1, .required = true});
  o.field("patch", patch, "pixels along an edge of a patch", {.min = 1});
  o.field("stride", stride, "pixels between patches; 0 means patch: no overlap", {.min = 0});
  o.field("padding", padding, "zeros around the image", {.min = 0});
  o.field("bias", bias, "add a learned bias");
}

PatchEmbed::PatchEmbed(const PatchEmbedOptions& o, Init weight_init)
    : conv(conv_options(o), std::move(weight_init)),
      patch(o.patch),
      tiles((o.stride == 0 || o.stride == o.patch) && o.padding == 0) {
  children({{"conv", conv}});
}

Tensor PatchEmbed::forward(const Tensor& x) {
  HEED_CHECK(x.rank() == 4, "patch_embed: wants [B, H, W, C], got {}", x);
  if (!tiles) return conv(x);
  const int64_t batch = x.size(0), channels = x.size(3), dim = conv.weight.size(0);
  HEED_CHECK(x.size(1) % patch == 0 && x.size(2) % patch == 0 && channels == conv.weight.size(-1),
             "patch_embed: patches of {} x {} x {} do not tile {}", patch, patch,
             conv.weight.size(-1), x);
  const int64_t rows = x.size(1) / patch, columns = x.size(2) / patch;
  const Tensor cut =
      permute(reshape(x, {batch, rows, patch, columns, patch, channels}), {0, 1, 3, 2, 4, 5});
  const Tensor tokens = reshape(cut, {batch, rows, columns, patch * patch * channels});
  return linear(tokens, reshape(conv.weight, {dim, patch * patch * channels}), conv.bias);
}

}  // namespace heed::nn
