// The options of hierarchical vision transformers (pyramid.h): what the published families do
// differently, and their sizes as presets.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/options.h"
#include "nn/models/presets.h"

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
  int64_t classes = 0;  // of the classifier alone
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
  double end_norm_eps = 0.0;
  bool stage_norms = false;
  bool pool_first = false;
  std::string position = "none";
  std::string conv_position = "none";
  double dropout = 0.0;
  double attention_dropout = 0.0;
  double drop_path = 0.0;
  double layer_scale = 0.0;
  std::string init = "truncated_normal";
  double init_std = 0.02;
  bool checkpointing = false;
  Config attention = Config(Config::Map{{"type", "softmax"}});
  std::vector<StageAttention> attentions = {};

  /// What every model of such stages takes.
  void stage_options(Options& o);
  /// These and the classifier's.
  void options(Options& o);
};

/// What most families share: images of 224 x 224, 1000 classes, channels that double from `dim` on,
/// heads of 32 features.
PyramidOptions imagenet_pyramid(std::vector<int64_t> depths, int64_t dim);

/// The published models that `preset` may name: whole ones, and shapes ("-shape") whose attention
/// the slot names.
const std::map<std::string, PyramidOptions>& pyramid_presets();

/// Reads a config: its preset, if it names one, changed by the other keys. `attention` by itself
/// replaces the preset's `attentions` too.
template <class O>
O read_pyramid_config(const Config& config, const std::string& what) {
  return read_with_preset<PyramidOptions, O>(config, what, pyramid_presets(), [&](O& options) {
    if (config.has("attention") && !config.has("attentions")) options.attentions.clear();
  });
}
PyramidOptions read_pyramid_options(const Config& config);

}  // namespace heed::nn
