// EDSR (Lim et al., arXiv 1707.02921): super-resolution by residual blocks without norms.
//   x0 = conv(image);   x = x + residual_scale conv(relu(conv(x)))   for every block
//   result = conv(upsample(x0 + conv(x)))
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "nn/layers/conv.h"
#include "nn/layers/upsampler.h"
#include "nn/models/image_model.h"

namespace heed::nn {

struct EdsrOptions {
  std::string preset;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  int64_t outputs = 0;
  int64_t scale = 0;
  int64_t blocks = 16;
  int64_t dim = 64;
  double residual_scale = 1.0;

  void options(Options& o);
};

/// The names that `preset` may have: "edsr" and "edsr-baseline".
std::vector<std::string> edsr_presets();
/// Reads a config: its preset, if it names one, changed by the other keys.
EdsrOptions read_edsr_options(const Config& config);

struct EdsrBlock : Module {
  explicit EdsrBlock(const EdsrOptions& options);

  /// [B, H, W, dim] -> the same shape.
  Tensor forward(const Tensor& x);

  Conv conv1, conv2;

 private:
  double residual_scale_;
};

class Edsr : public ImageModel {
 public:
  explicit Edsr(const EdsrOptions& options);

  ImageGeometry geometry() const override;
  bool unconditional() const override { return true; }
  Config config() const override;
  using ImageModel::forward;
  /// Images of any size: x [B, H, W, channels] -> [B, H scale, W scale, outputs].
  Tensor forward(const Tensor& x, const Tensor& times, const Tensor& labels) override;
  double flops() const override;
  const EdsrOptions& options() const { return options_; }

  Conv stem;
  ModuleList<EdsrBlock> blocks;
  Conv after;  // the blocks, before x0 is added again
  Upsampler upsampler;
  Conv head;

 private:
  EdsrOptions options_;
};

}  // namespace heed::nn
