// U-Net (Ronneberger et al., arXiv 1505.04597) of residual blocks, small: for segmentation, and for
// denoising with a time embedding as in DDPM (Ho et al., arXiv 2006.11239, appendix B).
//   block     y = shortcut(x) + conv(silu(norm(conv(silu(norm(x))) + time)))
//   down      blocks of a level, the result kept, then a convolution of stride 2
//   middle    block, attention, block
//   up        nearest neighbours, convolution, what the level kept joined on, blocks
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/options.h"
#include "nn/attention/mechanism.h"
#include "nn/layers/conv.h"
#include "nn/layers/dropout.h"
#include "nn/layers/group_norm.h"
#include "nn/layers/label_embedding.h"
#include "nn/layers/linear.h"
#include "nn/layers/time_embedding.h"
#include "nn/models/image_model.h"

namespace heed::nn {

struct UnetOptions {
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  int64_t outputs = 0;
  int64_t classes = 0;
  int64_t dim = 32;
  std::vector<int64_t> multipliers = {1, 2, 4};
  int64_t blocks = 1;
  int64_t groups = 8;
  int64_t attention_levels = 0;
  int64_t heads = 4;
  bool time = false;
  double class_dropout = 0.1;
  double dropout = 0.0;
  Config attention = Config(Config::Map{{"type", "softmax"}});

  void options(Options& o);
};

struct UnetBlock : Module {
  UnetBlock(const UnetOptions& options, int64_t in, int64_t out);

  /// x [B, H, W, in], embedding [B, 4 dim] or undefined -> [B, H, W, out].
  Tensor forward(const Tensor& x, const Tensor& embedding);
  double flops(int64_t pixels) const;

  GroupNorm norm1, norm2;
  Conv conv1, conv2;
  Dropout dropout;
  std::unique_ptr<Linear> embed;   // null without time and classes
  std::unique_ptr<Conv> shortcut;  // 1x1, or null: x itself
};

/// x + attention(norm(x)) over all pixels.
struct UnetAttention : Module {
  UnetAttention(const UnetOptions& options, int64_t channels, int64_t layer, int64_t layers);

  /// [B, H, W, C] -> the same shape.
  Tensor forward(const Tensor& x);

  GroupNorm norm;
  std::unique_ptr<AttentionMechanism> attn;
};

/// What one level is made of.
struct UnetLevelOptions {
  int64_t in = 0, width = 0;               ///< channels
  bool attends = false;                    ///< after each block
  int64_t attention = 0;                   ///< the number of its first attention among all
  int64_t attentions = 0;                  ///< how many there are in all
  std::optional<ConvLayerOptions> resize;  ///< to the next level's size
};

struct UnetLevel : Module {
  UnetLevel(const UnetOptions& options, const UnetLevelOptions& level);

  /// The blocks alone: [B, H, W, in] -> [B, H, W, width].
  Tensor forward(Tensor x, const Tensor& embedding);
  /// Forward floating-point operations on `pixels`, and `resized` after the resizing.
  double flops(int64_t pixels, int64_t resized) const;

  ModuleList<UnetBlock> blocks;
  ModuleList<UnetAttention> attentions;  // one for each block, or none
  std::unique_ptr<Conv> resize;          // or null
};

class Unet : public ImageModel {
 public:
  explicit Unet(const UnetOptions& options);

  ImageGeometry geometry() const override;
  bool unconditional() const override { return !labels || labels->has_none(); }
  Config config() const override;
  using ImageModel::forward;
  /// Images of any size that leaves a pixel at the lowest level.
  Tensor forward(const Tensor& x, const Tensor& times, const Tensor& labels) override;
  double flops() const override;
  const UnetOptions& options() const { return options_; }

  Conv stem;
  std::unique_ptr<TimeEmbedding> time;     // or null
  std::unique_ptr<LabelEmbedding> labels;  // or null
  ModuleList<UnetLevel> down, up;          // up: the lowest level first
  UnetBlock middle1, middle2;
  std::unique_ptr<UnetAttention> middle_attention;  // or null
  GroupNorm norm;
  Conv head;

 private:
  Tensor embedding(const Tensor& times, const Tensor& labels, int64_t batch);

  UnetOptions options_;
};

}  // namespace heed::nn
