// Large kernel attention (Guo et al., Visual Attention Network, arXiv 2202.09741, eq. 3): the input
// times what a large convolution, decomposed into three, makes of its surroundings; no softmax.
//   u = gelu(proj_in(x))
//   a = mix(far(near(u)))       near: depthwise, (2d - 1) taps;  mix: 1 x 1, all channels
//                               far:  depthwise, ceil(K / d) taps, d apart
//   y = proj_out(u * a) + x     the inner shortcut adds the normalised input
// along each axis; K = 21, d = 3 reaches 11 pixels to each side. Linear in the pixels.
#pragma once

#include <memory>
#include <string>

#include "nn/attention/mechanism.h"
#include "nn/layers/conv.h"
#include "nn/layers/linear.h"

namespace heed::nn {

struct LargeKernelOptions {
  int64_t kernel = 21;
  int64_t dilation = 3;
  std::string gate = "mul";
  bool near = true;
  bool far = true;
  bool mix = true;
  int64_t axes = 2;

  void options(Options& o);
};

/// Convolutions start as the paper's, whatever the host: normal, by their fan-out, without bias.
/// Tokens before the map (a class token) are gated by the mean of the surroundings of all pixels.
class LargeKernelAttention : public AttentionMechanism {
 public:
  LargeKernelAttention(const AttentionHost& host, const LargeKernelOptions& options);

  using AttentionMechanism::forward;
  Tensor forward(const Tensor& x, const AttentionContext& context) override;
  double flops(int64_t tokens) const override;
  /// Ranks keep channels, not heads.
  void split_heads(const TensorSplitPointer& split) override;

  Linear proj_in, proj_out;
  std::unique_ptr<Conv> near, far;  // or null
  std::unique_ptr<Linear> mix;      // or null

 private:
  /// far(near(u)) of tokens u [B, N, C].
  Tensor surroundings(const Tensor& u, const AttentionContext& context);

  LargeKernelOptions options_;
  int64_t dim_;
};

}  // namespace heed::nn
