// Vision transformer (Dosovitskiy et al., arXiv 2010.11929), with DeiT's sizes (Touvron et al.,
// arXiv 2012.12877) and Compact Transformers' (Hassani et al., arXiv 2104.05704):
//   x = patches (and a class token) + position;   blocks, norm first;   logits =
//   head(pool(norm(x)))
// where the patches may be convolutions' (ConvTokenizer), and the pool attention's (SequencePool).
#pragma once

#include <memory>

#include "nn/layers/conv_tokenizer.h"
#include "nn/layers/learned_position.h"
#include "nn/layers/linear.h"
#include "nn/layers/patch_embed.h"
#include "nn/layers/sequence_pool.h"
#include "nn/layers/sinusoidal_position.h"
#include "nn/models/classifier.h"
#include "nn/models/transformer_block.h"
#include "nn/models/vit_options.h"
#include "nn/resized_table.h"
#include "nn/token_split.h"

namespace heed::nn {

class Vit : public Classifier, public SharesTokens, public ResizesTables {
 public:
  explicit Vit(const VitOptions& options);

  ClassifierInput input() const override;
  int64_t classes() const override { return options_.classes; }
  Config config() const override;
  int64_t sequence_tokens() const override { return vit_tokens(options_); }
  using Classifier::forward;
  Tensor forward(const Tensor& images, const Tensor& lengths) override;
  double flops() const override;
  Tensor resized_table(const std::string& name, const Tensor& given) const override;

  /// Normed states of the class token (if there is one) and the patches, row by row: [B, N, C].
  Tensor features(const Tensor& images);
  const VitOptions& options() const { return options_; }

  std::unique_ptr<PatchEmbed> patch_embed;  // or null, and then:
  std::unique_ptr<ConvTokenizer> tokenizer;
  Tensor cls;                                      // [1, 1, dim], or undefined
  Tensor registers;                                // [1, registers, dim], or undefined
  std::unique_ptr<LearnedPosition> position;       // or null
  std::unique_ptr<SinusoidalPosition> sinusoidal;  // or null
  Dropout dropout;
  BlockStack<TransformerBlock> blocks;
  std::unique_ptr<Norm> norm;
  std::unique_ptr<SequencePool> pool;  // or null
  Linear head;

 private:
  /// images -> the patches' features [B, N, C].
  Tensor patches(const Tensor& images);

  VitOptions options_;
};

}  // namespace heed::nn
