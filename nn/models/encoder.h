// Text encoder in the style of BERT (Devlin et al., arXiv 1810.04805) and MiniLM (Wang et al.,
// arXiv 2002.10957):
//   x = norm(embed[ids] + position + token_type);   blocks, norm last
// or pre-norm, with the norm at the end instead. Heads, each optional: a pooler, classes, and
// masked language modelling over the embedding itself.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "nn/layers/embedding.h"
#include "nn/layers/learned_position.h"
#include "nn/layers/linear.h"
#include "nn/layers/sinusoidal_position.h"
#include "nn/models/classifier.h"
#include "nn/models/transformer_block.h"
#include "nn/token_split.h"

namespace heed::nn {

struct EncoderOptions {
  std::string preset;
  int64_t vocab = 0;
  int64_t context = 512;
  int64_t layers = 6;
  int64_t dim = 384;
  int64_t heads = 6;
  int64_t hidden = 0;
  std::string mlp = "gelu";
  std::string norm = "layer_norm";
  double norm_eps = 1e-12;
  bool norm_first = false;
  std::string position = "learned";
  int64_t position_offset = 0;
  int64_t token_types = 0;
  std::string pool = "cls";
  bool pooler = true;
  bool normalise = false;
  int64_t classes = 0;
  bool mlm = false;
  double dropout = 0.1;
  double attention_dropout = 0.1;
  bool checkpointing = false;
  double init_std = 0.02;
  Config attention = Config(Config::Map{{"type", "softmax"}});

  void options(Options& o);
};

/// The names that `preset` may have: "bert-tiny", "bert-base", "bert-large", "minilm-l6".
std::vector<std::string> encoder_presets();
/// Reads a config: its preset, if it names one, changed by the other keys.
EncoderOptions read_encoder_options(const Config& config);

/// Hidden states [B, N, C] -> [B, C], of each row's first `lengths` (all when undefined): the first
/// ("cls"), their mean or the largest of each feature ("max").
Tensor pool_states(const std::string& pool, const Tensor& states, const Tensor& lengths = {});

class Encoder : public Classifier, public SharesTokens, public SharesVocabulary {
 public:
  explicit Encoder(const EncoderOptions& options);

  ClassifierInput input() const override;
  int64_t classes() const override { return options_.classes; }
  Config config() const override;
  int64_t sequence_tokens() const override { return options_.context; }
  using Classifier::forward;
  /// Logits [B, classes]; an error for an encoder without `classes`.
  Tensor forward(const Tensor& ids, const Tensor& lengths) override;
  double flops() const override;
  void split_vocabulary(const TensorSplitPointer& split) override;

  /// Hidden states [B, N, C] of ids [B, N]; lengths [B] i64 and token_types [B, N] (all 0) may be
  /// undefined. States after a row's length mean nothing.
  Tensor features(const Tensor& ids, const Tensor& lengths = {}, const Tensor& token_types = {});
  /// [B, N, C] -> one vector a sequence [B, C]: what `pool` makes of the states that count, through
  /// the pooler (linear, tanh) if there is one, of length 1 if `normalise` says so.
  Tensor pooled(const Tensor& features, const Tensor& lengths = {});
  /// [B, C] -> [B, classes].
  Tensor classify(const Tensor& pooled);
  /// [B, N, C] -> logits of the masked tokens [B, N, vocab]; an error without `mlm`.
  Tensor mlm_logits(const Tensor& features);
  /// Mean cross-entropy of targets [B, N] (-100 does not count), without storing all logits.
  Tensor mlm_loss(const Tensor& ids, const Tensor& targets, const Tensor& lengths = {});
  const EncoderOptions& options() const { return options_; }

  Embedding embed;
  std::unique_ptr<LearnedPosition> position;       // or null
  std::unique_ptr<SinusoidalPosition> sinusoidal;  // or null
  std::unique_ptr<Embedding> token_types;          // or null
  std::unique_ptr<Norm> norm;                      // of the embeddings, or at the end
  Dropout dropout, head_dropout;
  BlockStack<TransformerBlock> blocks;
  std::unique_ptr<Linear> pooler, classifier, mlm_transform;  // or null
  std::unique_ptr<Norm> mlm_norm;                             // or null
  Tensor mlm_bias;                                            // [vocab], or undefined

 private:
  /// The states of this rank's tokens.
  Tensor own_features(const Tensor& ids, const Tensor& lengths, const Tensor& token_types);
  Tensor mlm_hidden(const Tensor& features);

  EncoderOptions options_;
  TensorSplitPointer vocabulary_;
};

}  // namespace heed::nn
