// Diffusion transformer (Peebles & Xie, arXiv 2212.09748) with adaLN-Zero, for images and clips:
//   x = patches + position;   c = time + label
//   shift1, scale1, gate1, shift2, scale2, gate2 = linear(silu(c))          zero at first
//   x = x + gate1 attention(norm(x) (1 + scale1) + shift1)
//   x = x + gate2 mlp(norm(x) (1 + scale2) + shift2)
//   out = linear(norm(x) (1 + scale) + shift), put back in place of its patch
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "nn/attention/mechanism.h"
#include "nn/layers/feed_forward.h"
#include "nn/layers/label_embedding.h"
#include "nn/layers/layer_norm.h"
#include "nn/layers/learned_position.h"
#include "nn/layers/linear.h"
#include "nn/layers/time_embedding.h"
#include "nn/models/image_model.h"

namespace heed::nn {

struct DitOptions {
  std::string preset;
  int64_t frames = 0;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  int64_t outputs = 0;
  int64_t classes = 0;
  int64_t patch = 2;
  int64_t patch_frames = 1;
  int64_t layers = 4;
  int64_t dim = 128;
  int64_t heads = 4;
  int64_t hidden = 0;
  std::string mlp = "gelu_tanh";
  std::string position = "sincos";
  bool qk_norm = false;
  double class_dropout = 0.1;
  bool checkpointing = false;
  Config attention = Config(Config::Map{{"type", "softmax"}});

  void options(Options& o);
};

/// The names that `preset` may have: "dit-s/2" to "dit-xl/8", on latents of 256 x 256 images (32 x
/// 32 x 4, 1000 classes) and with variances as second half of the outputs, as published.
std::vector<std::string> dit_presets();
/// Reads a config: its preset, if it names one, changed by the other keys.
DitOptions read_dit_options(const Config& config);

struct DitBlock : Module {
  DitBlock(const DitOptions& options, int64_t layer);

  /// x [B, N, C], condition silu(c) [B, C] -> [B, N, C].
  Tensor forward(const Tensor& x, const Tensor& condition, const AttentionContext& context);
  double flops(int64_t tokens) const;

  LayerNorm norm1, norm2;  // no weights
  std::unique_ptr<AttentionMechanism> attn;
  std::unique_ptr<FeedForward> mlp;
  Linear modulation;
};

class Dit : public ImageModel {
 public:
  explicit Dit(const DitOptions& options);

  ImageGeometry geometry() const override;
  bool unconditional() const override { return !labels || labels->has_none(); }
  Config config() const override;
  using ImageModel::forward;
  Tensor forward(const Tensor& x, const Tensor& times, const Tensor& labels) override;
  double flops() const override;
  const DitOptions& options() const { return options_; }

  Linear patch_embed;
  TimeEmbedding time;
  std::unique_ptr<LabelEmbedding> labels;     // or null
  std::unique_ptr<LearnedPosition> position;  // or null
  ModuleList<DitBlock> blocks;
  LayerNorm norm;  // no weights
  Linear modulation, head;

 private:
  /// Extents of the grid of tokens: frames, rows, columns.
  Shape grid() const;
  /// As mechanisms see it: without frames for images.
  Shape attended_grid() const;
  int64_t tokens() const { return grid().numel(); }
  Tensor positioned(const Tensor& x);

  DitOptions options_;
  Tensor table_;  // [N, C] of sincos positions, made when first needed
};

/// Fixed positions of a grid, row by row: [frames rows columns, dim]. A token's features are
/// [sin x | cos x | sin y | cos y] of column x and row y, with dim / 4 frequencies 10000^(-4i /
/// dim) (as in MAE, arXiv 2111.06377); clips add [sin t | cos t] of the frame over all features.
Tensor grid_positions(int64_t frames, int64_t rows, int64_t columns, int64_t dim);

}  // namespace heed::nn
