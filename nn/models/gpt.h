// Decoder-only language model: GPT-2 (Radford et al. 2019) and Llama (Touvron et al., arXiv
// 2302.13971) styles, by options. A pre-norm residual stream:
//   x = embed[ids] (+ position)
//   x = x + attention(norm1(x));   x = x + mlp(norm2(x))        for every block
//   logits = norm(x) head^T                                    head = embed when tied
// and GPT-NeoX's (Black et al., arXiv 2204.06745), whose two branches read the same x:
//   x = x + attention(norm1(x)) + mlp(norm2(x))
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/options.h"
#include "nn/attention/mechanism.h"
#include "nn/layers/dropout.h"
#include "nn/layers/embedding.h"
#include "nn/layers/feed_forward.h"
#include "nn/layers/learned_position.h"
#include "nn/layers/linear.h"
#include "nn/layers/norm.h"
#include "nn/layers/rotary.h"
#include "nn/layers/sinusoidal_position.h"
#include "nn/models/block_stack.h"
#include "nn/models/language_model.h"
#include "nn/token_split.h"

namespace heed::nn {

/// A mechanism for some layers in a row.
struct LayerAttention {
  int64_t layers = 1;
  Config attention = {};

  void options(Options& o);
};

struct GptOptions {
  std::string preset;
  int64_t vocab = 0;
  int64_t channels = 1;
  int64_t context = 256;
  int64_t layers = 6;
  int64_t dim = 384;
  int64_t heads = 6;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  std::string mlp = "gelu";
  int64_t hidden = 0;
  std::string norm = "layer_norm";
  double norm_eps = 1e-5;
  std::string position = "learned";
  double rope_base = 10000.0;
  int64_t rotary_dim = 0;
  RopeScaling rope_scaling;
  bool parallel_residual = false;
  bool bias = true;
  bool qkv_bias = false;
  bool out_bias = false;
  bool qk_norm = false;
  bool tied = true;
  double dropout = 0.0;
  std::optional<double> embedding_dropout;
  std::optional<double> attention_dropout;
  std::optional<double> residual_dropout;
  double mlp_dropout = 0.0;
  bool checkpointing = false;
  double init_std = 0.02;
  int64_t cache_page = 0;
  Config attention = Config(Config::Map{{"type", "softmax"}});
  std::vector<LayerAttention> attentions = {};

  void options(Options& o);
};

/// The names that `preset` may have: "gpt2" (124M), "gpt2-medium", ..., "llama-tiny", ...
std::vector<std::string> gpt_presets();
/// A published model's configuration; a RequestError for an unknown name.
GptOptions gpt_preset(const std::string& name);
/// Reads a config: its preset, if it names one, changed by the other keys.
GptOptions read_gpt_options(const Config& config);

struct GptBlock : Module {
  GptBlock(const GptOptions& options, int64_t layer);

  /// The residual stream and, but for the first block, what is still to be added to it: each
  /// addition is fused with the norm after it.
  Stream forward(const Stream& in, const AttentionContext& context);

  std::unique_ptr<Norm> norm1, norm2;
  std::unique_ptr<AttentionMechanism> attn;
  std::unique_ptr<FeedForward> mlp;
  Dropout attn_dropout, mlp_dropout;

 private:
  bool parallel_;
};

class Gpt : public LanguageModel, public SharesTokens, public SharesVocabulary {
 public:
  explicit Gpt(const GptOptions& options);

  int64_t vocab() const override { return options_.vocab; }
  int64_t context() const override { return options_.context; }
  int64_t sequence_tokens() const override { return options_.context; }
  bool extrapolates() const override { return options_.position != "learned"; }
  Config config() const override;

  Tensor forward(const Tensor& ids, const PackedDocuments& documents = {}) override;
  Tensor loss(const Tensor& ids, const Tensor& targets,
              const PackedDocuments& documents = {}) override;
  Tensor loss_rows(const Tensor& ids, const Tensor& targets,
                   const PackedDocuments& documents = {}) override;
  std::string cannot_pack() const override;
  std::unique_ptr<DecodeState> start() const override;
  Tensor decode(const Tensor& ids, DecodeState& state) override;
  double flops_per_token(int64_t tokens) const override;
  void split_vocabulary(const TensorSplitPointer& split) override;

  /// The final normed hidden states, [B, N, C].
  Tensor features(const Tensor& ids);
  /// The projection to logits, [vocab, dim] or this rank's rows of it: the embedding itself when
  /// tied.
  Tensor head_weight() const { return head ? head->whole_weight() : embed.weight; }
  const GptOptions& options() const { return options_; }

  Embedding embed;
  std::unique_ptr<Embedding> second;               // of the second channel, or null
  std::unique_ptr<LearnedPosition> position;       // or null
  std::unique_ptr<SinusoidalPosition> sinusoidal;  // or null
  Dropout dropout;
  BlockStack<GptBlock> blocks;
  std::unique_ptr<Norm> norm;
  std::unique_ptr<Linear> head;  // null when tied

 private:
  /// The states of this rank's tokens.
  Tensor run(const Tensor& ids, const PackedDocuments& documents, KvCache* cache = nullptr);
  /// What tells documents apart in the context of whole rows [B, N].
  void pack(const PackedDocuments& documents, const Shape& rows, AttentionContext& context) const;
  Tensor logits(const Tensor& hidden);

  GptOptions options_;
  TensorSplitPointer vocabulary_;
};

}  // namespace heed::nn
