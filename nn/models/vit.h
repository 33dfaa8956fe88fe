// Vision transformer (Dosovitskiy et al., arXiv 2010.11929), with DeiT's sizes (Touvron et al.,
// arXiv 2012.12877):
//   x = patches (and a class token) + position;   blocks, norm first;   logits = head(norm(x))
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "nn/layers/learned_position.h"
#include "nn/layers/linear.h"
#include "nn/layers/patch_embed.h"
#include "nn/layers/sinusoidal_position.h"
#include "nn/models/classifier.h"
#include "nn/models/transformer_block.h"
#include "nn/resized_table.h"
#include "nn/token_split.h"

namespace heed::nn {

struct VitOptions {
  std::string preset;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 3;
  int64_t classes = 0;
  int64_t patch = 4;
  int64_t layers = 6;
  int64_t dim = 192;
  int64_t heads = 3;
  int64_t hidden = 0;
  std::string mlp = "gelu";
  std::string norm = "layer_norm";
  double norm_eps = 1e-6;
  std::string position = "learned";
  std::string pool = "cls";
  double dropout = 0.0;
  double attention_dropout = 0.0;
  double drop_path = 0.0;
  double layer_scale = 0.0;
  bool checkpointing = false;
  Config attention = Config(Config::Map{{"type", "softmax"}});

  void options(Options& o);
};

/// The names that `preset` may have: "deit-tiny", "deit-small", "deit-base", "vit-large".
std::vector<std::string> vit_presets();
/// Reads a config: its preset, if it names one, changed by the other keys.
VitOptions read_vit_options(const Config& config);

class Vit : public Classifier, public SharesTokens, public ResizesTables {
 public:
  explicit Vit(const VitOptions& options);

  ClassifierInput input() const override;
  int64_t classes() const override { return options_.classes; }
  Config config() const override;
  int64_t sequence_tokens() const override { return tokens(); }
  using Classifier::forward;
  Tensor forward(const Tensor& images, const Tensor& lengths) override;
  double flops() const override;
  Tensor resized_table(const std::string& name, const Tensor& given) const override;

  /// Normed states of the class token (if there is one) and the patches, row by row: [B, N, C].
  Tensor features(const Tensor& images);
  const VitOptions& options() const { return options_; }

  PatchEmbed patch_embed;
  Tensor cls;                                      // [1, 1, dim], or undefined
  std::unique_ptr<LearnedPosition> position;       // or null
  std::unique_ptr<SinusoidalPosition> sinusoidal;  // or null
  Dropout dropout;
  BlockStack<TransformerBlock> blocks;
  std::unique_ptr<Norm> norm;
  Linear head;

 private:
  int64_t tokens() const;

  VitOptions options_;
};

}  // namespace heed::nn
