// Mobile convolutional networks of depthwise separable blocks, norm and activation after each
// convolution.
// v1 (Howard et al., arXiv 1704.04861, table 1):
//   y = act(norm(conv1x1(act(norm(depthwise3x3(x))))))
// v2 (Sandler et al., arXiv 1801.04381, table 2), inverted residuals with a linear bottleneck:
//   y = norm(conv1x1(depthwise(expand(x)))),   + x where the shape is unchanged
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "nn/layers/batch_norm.h"
#include "nn/layers/conv.h"
#include "nn/layers/dropout.h"
#include "nn/layers/linear.h"
#include "nn/models/classifier.h"

namespace heed::nn {

/// Empty lists, and zeros in `head_width`, take the version's own.
struct MobileNetOptions {
  std::string preset;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 3;
  int64_t classes = 0;
  std::string version = "v2";
  double multiplier = 1.0;
  int64_t stem_width = 32;
  int64_t stem_stride = 2;
  std::vector<int64_t> widths = {};
  std::vector<int64_t> blocks = {};
  std::vector<int64_t> strides = {};
  std::vector<int64_t> expansions = {};
  int64_t head_width = 0;
  std::string activation = "auto";
  double dropout = 0.0;
  double momentum = 0.1;

  void options(Options& o);
  /// The same with the version's own values filled in.
  MobileNetOptions resolved() const;
};

/// The names that `preset` may have: "mobilenet-v1", "mobilenet-v1-0.75", "mobilenet-v2", ... and
/// the forms for small images "mobilenet-v1-cifar", "mobilenet-v2-cifar".
std::vector<std::string> mobilenet_presets();
/// Reads a config: its preset, if it names one, changed by the other keys.
MobileNetOptions read_mobilenet_options(const Config& config);

/// A convolution without bias, its norm, and an activation.
struct ConvUnit : Module {
  /// `activation` is "relu", "relu6" or "none".
  ConvUnit(const ConvLayerOptions& conv, double momentum, std::string activation);

  Tensor forward(const Tensor& x);

  Conv conv;
  BatchNorm norm;

 private:
  std::string activation_;
};

struct MobileNetBlock : Module {
  /// Expanded to `expansion` times the channels unless that is 1; `linear` blocks have no
  /// activation at the end, and a shortcut where the shape is unchanged.
  MobileNetBlock(int64_t in, int64_t out, int64_t stride, int64_t expansion, bool linear,
                 const MobileNetOptions& options);

  /// x [B, H, W, in] -> [B, H', W', out].
  Tensor forward(const Tensor& x);
  /// Forward floating-point operations on an image whose size is changed to the output's.
  double flops(int64_t& height, int64_t& width) const;

  std::unique_ptr<ConvUnit> expand;  // 1x1, or null
  ConvUnit depthwise, project;

 private:
  bool shortcut_;
};

class MobileNet : public Classifier {
 public:
  explicit MobileNet(const MobileNetOptions& options);

  ClassifierInput input() const override;
  int64_t classes() const override { return options_.classes; }
  Config config() const override;
  using Classifier::forward;
  /// Images of any size that leaves a pixel after the strides.
  Tensor forward(const Tensor& images, const Tensor& lengths) override;
  double flops() const override;

  /// The last feature map [B, H', W', C].
  Tensor features(const Tensor& images);
  const MobileNetOptions& options() const { return options_; }

  ConvUnit stem;
  ModuleList<MobileNetBlock> blocks;
  std::unique_ptr<ConvUnit> last;  // 1x1 before the pooling; v2 alone
  Dropout dropout;
  Linear head;

 private:
  MobileNetOptions options_, own_;  // as given, and with the version's own values
};

}  // namespace heed::nn
