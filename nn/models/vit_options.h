// The options of vision transformers (vit.h), and the published sizes as presets.
#pragma once

#include <map>
#include <string>

#include "core/options.h"
#include "nn/layers/conv_tokenizer.h"
#include "nn/models/presets.h"

namespace heed::nn {

struct VitOptions {
  std::string preset;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 3;
  int64_t classes = 0;
  std::string stem = "patch";
  int64_t patch = 4;
  int64_t stem_kernel = 3;
  int64_t stem_convs = 1;
  int64_t stem_width = 64;
  std::string stem_init = "uniform";
  int64_t layers = 6;
  int64_t dim = 192;
  int64_t heads = 3;
  int64_t hidden = 0;
  std::string mlp = "gelu";
  std::string norm = "layer_norm";
  double norm_eps = 1e-6;
  bool normed_stream = false;
  bool qkv_bias = true;
  std::string position = "learned";
  double position_std = 0.02;
  std::string pool = "cls";
  int64_t registers = 0;
  double dropout = 0.0;
  double attention_dropout = 0.0;
  double drop_path = 0.0;
  double layer_scale = 0.0;
  bool checkpointing = false;
  Config attention = Config(Config::Map{{"type", "softmax"}});

  void options(Options& o);
};

/// The published models that `preset` may name: DeiT's, ViT's, and those of compact.h.
const std::map<std::string, VitOptions>& vit_presets();
/// Reads a config: its preset, if it names one, changed by the other keys.
VitOptions read_vit_options(const Config& config);

/// What the stem `convs` is made from.
ConvTokenizerOptions tokenizer_options(const VitOptions& o);
/// Extents of the map of patches [H', W'] for the options' image.
Shape vit_grid(const VitOptions& o);
/// Tokens before the patches: the class token and registers.
int64_t vit_globals(const VitOptions& o);
/// Tokens of an image: these and its patches.
int64_t vit_tokens(const VitOptions& o);

}  // namespace heed::nn
