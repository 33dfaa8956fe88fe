// A hierarchical vision transformer: stages of attention blocks on maps that shrink by two while
// their channels grow (Wang et al., arXiv 2102.12122; Swin, arXiv 2103.14030; NAT, arXiv
// 2204.07143; DaViT, arXiv 2204.03645; VAN, arXiv 2202.09741):
//   x = stem(image);   x = blocks(x);   x = blocks(downsample(x));   ...   logits =
//   head(mean(norm(x)))
// What these families do differently are options; what their attention does is the slot's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "nn/layers/linear.h"
#include "nn/layers/patch_merging.h"
#include "nn/models/classifier.h"
#include "nn/models/pyramid_block.h"

namespace heed::nn {

/// A mechanism for some of the stages (counted from 1; all, when none are named).
struct StageAttention {
  std::vector<int64_t> stages = {};
  Config attention = {};

  void options(Options& o);
};

/// Lists have one value a stage, or one value for all where that is said.
struct PyramidOptions {
  std::string preset;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 3;
  int64_t classes = 0;
  std::vector<int64_t> depths = {2, 2, 6, 2};
  std::vector<int64_t> dims = {96, 192, 384, 768};
  std::vector<int64_t> heads = {3, 6, 12, 24};
  std::vector<double> mlp_ratios = {4.0};
  std::string mlp = "gelu";
  std::string mlp_conv = "none";
  std::string stem = "patch";
  int64_t patch = 4;
  std::string downsample = "merge";
  bool downsample_bias = true;
  std::string embed_norm = "layer_norm";
  std::string norm = "layer_norm";
  double norm_eps = 1e-5;
  std::string end_norm = "layer_norm";
  bool stage_norms = false;
  bool pool_first = false;
  std::string position = "none";
  std::string conv_position = "none";
  double dropout = 0.0;
  double attention_dropout = 0.0;
  double drop_path = 0.0;
  double layer_scale = 0.0;
  bool checkpointing = false;
  Config attention = Config(Config::Map{{"type", "softmax"}});
  std::vector<StageAttention> attentions = {};

  void options(Options& o);
};

/// The names that `preset` may have: shapes of published families, whose attention the slot names.
std::vector<std::string> pyramid_presets();
/// Reads a config: its preset, if it names one, changed by the other keys.
PyramidOptions read_pyramid_options(const Config& config);

/// What makes a stage's map of the one before it, or of the image.
struct StageEmbed : Module {
  StageEmbed(const PyramidOptions& options, size_t stage);

  /// x [B, H, W, C] -> [B, H', W', dims[stage]].
  Tensor forward(const Tensor& x);
  /// Forward floating-point operations on a map whose size is changed to the result's.
  double flops(int64_t& height, int64_t& width) const;

  std::unique_ptr<PatchMerging> merge;  // or null, and then:
  ModuleList<Conv> convs;
  std::unique_ptr<Norm> norm;  // after the convolutions, or before them

 private:
  bool norm_first_ = false;
};

class Pyramid : public Classifier {
 public:
  explicit Pyramid(const PyramidOptions& options);

  ClassifierInput input() const override;
  int64_t classes() const override { return options_.classes; }
  Config config() const override;
  using Classifier::forward;
  /// Images of any size, but for learned positions.
  Tensor forward(const Tensor& images, const Tensor& lengths) override;
  double flops() const override;

  /// The map of every stage [B, H', W', C], finest first, for dense prediction.
  std::vector<Tensor> features(const Tensor& images);
  const PyramidOptions& options() const { return options_; }

  ModuleList<StageEmbed> embeds;
  Tensor position;  // [1, H, W, dims[0]], or undefined
  Dropout dropout;
  ModuleList<ModuleList<PyramidBlock>> stages;
  ModuleList<Norm> norms;  // of every stage, or of the last alone
  Linear head;

 private:
  PyramidOptions options_;
};

}  // namespace heed::nn
