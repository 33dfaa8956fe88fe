// The residual block of hierarchical vision transformers, on a map [B, H, W, C]:
//   x = x + position1(x);   x = x + attention(norm1(x))
//   x = x + position2(x);   x = x + mlp(norm2(x))      (left out where mlp is "none")
// with the positions depthwise 3x3 convolutions, each optional (conditional position encoding, Chu
// et al., arXiv 2102.10882), and dropout, layer scale and stochastic depth on the other branches.
#pragma once

#include <memory>
#include <string>

#include "nn/layers/conv.h"
#include "nn/models/transformer_block.h"

namespace heed::nn {

struct PyramidBlockOptions : TransformerBlockOptions {
  std::string conv_position = "none";  ///< "none", "attention" (before it alone) or "both"
  std::string mlp_conv = "none";       ///< "none", "hidden" or "residual": see ConvMlp
  bool fan_out = false;                ///< convolutions start normal, by their fan-out
};

struct PyramidBlock : Module {
  explicit PyramidBlock(const PyramidBlockOptions& options);

  /// x [B, H, W, C] -> the same shape. The mechanism is told the grid of its tokens.
  Tensor forward(const Tensor& x);
  /// The same, recomputed in the backward pass.
  Tensor forward_checkpointed(const Tensor& x);
  /// Forward floating-point operations on one map of `tokens`.
  double flops(int64_t tokens) const;

  std::unique_ptr<Conv> position1, position2;  // or null
  std::unique_ptr<Norm> norm1;
  std::unique_ptr<AttentionMechanism> attn;
  std::unique_ptr<Norm> norm2;       // or null, with mlp
  std::unique_ptr<FeedForward> mlp;  // or null
  Dropout dropout1, dropout2;
  DropPath drop_path1, drop_path2;
  std::unique_ptr<LayerScale> scale1, scale2;  // or null

 private:
  Tensor attend(const Tensor& x);
};

}  // namespace heed::nn
