// Residual networks (He et al., arXiv 1512.03385): the ImageNet form (18, 34, 50) and the CIFAR
// form (section 4.2: 20, 56). A block is
//   y = relu(shortcut(x) + branch(x))
//   branch: conv3x3, norm, relu, conv3x3, norm;   bottleneck: conv1x1, conv3x3, conv1x1 likewise
// A bottleneck strides in its 3x3 convolution, as everyone's weights do today.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "nn/layers/batch_norm.h"
#include "nn/layers/conv.h"
#include "nn/layers/linear.h"
#include "nn/models/classifier.h"

namespace heed::nn {

struct ResNetOptions {
  std::string preset;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 3;
  int64_t classes = 0;
  std::vector<int64_t> blocks = {3, 3, 3};
  std::vector<int64_t> widths = {16, 32, 64};
  bool bottleneck = false;
  std::string stem = "cifar";
  std::string shortcut = "projection";
  bool zero_init = false;
  double momentum = 0.1;

  void options(Options& o);
};

/// The names that `preset` may have: "resnet18", "resnet20", "resnet34", "resnet50", "resnet56".
std::vector<std::string> resnet_presets();
/// Reads a config: its preset, if it names one, changed by the other keys.
ResNetOptions read_resnet_options(const Config& config);

struct ResNetBlock : Module {
  /// `in` channels to `width` (4 width for a bottleneck).
  ResNetBlock(const ResNetOptions& options, int64_t in, int64_t width, int64_t stride);

  Tensor forward(const Tensor& x);
  /// Forward floating-point operations on an image whose size is changed to the output's.
  double flops(int64_t& height, int64_t& width) const;

  Conv conv1, conv2;
  std::unique_ptr<Conv> conv3;  // bottleneck alone
  BatchNorm norm1, norm2;
  std::unique_ptr<BatchNorm> norm3;  // bottleneck alone
  std::unique_ptr<Conv> shortcut;    // 1x1; null: x itself, thinned and padded where shapes differ
  std::unique_ptr<BatchNorm> shortcut_norm;

 private:
  int64_t stride_;
};

class ResNet : public Classifier {
 public:
  explicit ResNet(const ResNetOptions& options);

  ClassifierInput input() const override;
  int64_t classes() const override { return options_.classes; }
  Config config() const override;
  using Classifier::forward;
  /// Images of any size that leaves a pixel after the strides.
  Tensor forward(const Tensor& images, const Tensor& lengths) override;
  double flops() const override;

  /// The last stage's feature map [B, H', W', C].
  Tensor features(const Tensor& images);
  const ResNetOptions& options() const { return options_; }

  Conv stem;
  BatchNorm stem_norm;
  ModuleList<ModuleList<ResNetBlock>> stages;
  Linear head;

 private:
  ResNetOptions options_;
};

}  // namespace heed::nn
