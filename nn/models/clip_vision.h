// CLIP's image tower (Radford et al., arXiv 2103.00020) as a vision-language model reads it: the
// states of the patches behind one of its last layers, as that layer leaves them.
//   x = norm_in([cls, patches] + position);   x = blocks(x)
//   y = x behind block `layer`, without the class token                        [B, P, dim]
#pragma once

#include "core/options.h"
#include "nn/layers/learned_position.h"
#include "nn/layers/norm.h"
#include "nn/layers/patch_embed.h"
#include "nn/models/transformer_block.h"

namespace heed::nn {

struct ClipVisionOptions {
  int64_t height = 336;
  int64_t width = 336;
  int64_t channels = 3;
  int64_t patch = 14;
  int64_t layers = 24;
  int64_t dim = 1024;
  int64_t heads = 16;
  int64_t hidden = 4096;
  std::string mlp = "quick_gelu";
  double norm_eps = 1e-5;
  int64_t layer = -2;
  bool cls = false;
  double attention_dropout = 0.0;

  void options(Options& o);
};

class ClipVision : public Module {
 public:
  explicit ClipVision(const ClipVisionOptions& options);

  /// Images [B, H, W, channels], normalised -> states [B, tokens(), dim]. What lies behind `layer`
  /// (the last blocks, the norm at the end) has no part in them and is frozen; it is there so that
  /// a checkpoint stays whole.
  Tensor forward(const Tensor& images);
  /// States of an image.
  int64_t tokens() const;
  /// Floating-point operations of an image's states.
  double flops() const;
  const ClipVisionOptions& options() const { return options_; }

  PatchEmbed patch_embed;  // without a bias
  Tensor cls;              // [dim]
  LearnedPosition position;
  std::unique_ptr<Norm> norm_in;
  ModuleList<TransformerBlock> blocks;
  std::unique_ptr<Norm> norm;

 private:
  ClipVisionOptions options_;
  size_t used_ = 0;  // blocks
};

}  // namespace heed::nn
