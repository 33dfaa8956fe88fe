// The Routing Transformer (Roy, Saffar, Vaswani and Grangier, arXiv 2003.05997): a decoder of
// blocks normed behind their branches, some heads of which route by content while the others see
// near blocks (nn/attention/routing_attention.h).
//   text    x = input(dropout(embed[ids]))            embeddings of E features, E may differ from D
//   image   x = sqrt(D) embed[ids + 256 channel] + rows[y, channel] + columns[x, channel]
//   x = dropout(x);   x = norm1(x + dropout(attention(x)));   x = norm2(x + dropout(mlp(x)))
//   logits = head(output(x))                          output [D, E] where E differs; head with bias
// and no norm at the end. Text has no absolute positions: distances are in the attention's tables.
//
// Checked against the published code (google-research, routing_transformer/sparse_transformer.py,
// sparse_image_transformer.py and utils.py; tensor2tensor, common_hparams.py and optimize.py): the
// presets' numbers; no bias in attention and gated layers, biases beside ReLU; the sequence
// "dropout, add, norm" of epsilon 1e-6, and the dropout of 0.1 that also stands before the first
// block; matrices uniform of variance 0.2 / (mean of rows and columns), biases 0. Two things are
// the task's: that inputs are the targets one place later (there id 0 is the first, here the
// window's first token is), and that targets of padding do not count.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "nn/layers/dropout.h"
#include "nn/layers/embedding.h"
#include "nn/layers/learned_position.h"
#include "nn/layers/linear.h"
#include "nn/layers/token_dropout.h"
#include "nn/models/block_stack.h"
#include "nn/models/language_model.h"
#include "nn/models/transformer_block.h"

namespace heed::nn {

struct RoutingTransformerOptions {
  std::string preset;
  int64_t vocab = 0;
  int64_t context = 1024;
  int64_t layers = 4;
  int64_t dim = 256;
  int64_t embedding_dim = 0;
  int64_t heads = 8;
  int64_t routing_heads = 4;
  int64_t skip_first = 0;
  int64_t clusters = 8;
  int64_t window = 128;
  int64_t block = 128;
  int64_t relative = 256;
  std::string select = "top";
  std::string mlp = "geglu";
  int64_t hidden = 0;
  int64_t channels = 0;
  int64_t width = 0;
  double dropout = 0.1;
  double embedding_dropout = 0.0;
  double token_dropout = 0.0;
  double attention_dropout = 0.0;
  double mlp_dropout = 0.0;
  double decay = 0.999;
  std::string start = "one";
  double commitment = 1e-4;
  double norm_eps = 1e-6;
  bool checkpointing = false;

  void options(Options& o);

  int64_t embedding_width() const { return embedding_dim > 0 ? embedding_dim : dim; }
  /// The slot of every block's attention.
  Config attention() const;
};

/// The names that `preset` may have, as in the published code: "enwik8_local_cluster8k", ...
std::vector<std::string> routing_transformer_presets();
/// A published model's configuration; a RequestError for an unknown name.
RoutingTransformerOptions routing_transformer_preset(const std::string& name);
/// Reads a config: its preset, if it names one, changed by the other keys.
RoutingTransformerOptions read_routing_transformer_options(const Config& config);

class RoutingTransformer : public LanguageModel {
 public:
  explicit RoutingTransformer(const RoutingTransformerOptions& options);

  int64_t vocab() const override { return options_.vocab; }
  int64_t context() const override { return options_.context; }
  /// Images end.
  bool extrapolates() const override { return options_.channels == 0; }
  Config config() const override;

  Tensor forward(const Tensor& ids, const PackedDocuments& documents = {}) override;
  /// With the commitment to the centroids (RoutingOptions::commitment).
  Tensor loss(const Tensor& ids, const Tensor& targets,
              const PackedDocuments& documents = {}) override;
  Tensor loss_rows(const Tensor& ids, const Tensor& targets,
                   const PackedDocuments& documents = {}) override;
  std::string cannot_pack() const override {
    return "routing_transformer's clusters are of a whole row: they cannot keep documents apart";
  }
  std::unique_ptr<DecodeState> start() const override;
  /// With `select: own` the same as the whole pass; with `top` a token's clusters are those of the
  /// text up to it, where the whole pass fills them from all of it.
  Tensor decode(const Tensor& ids, DecodeState& state) override;
  double flops_per_token(int64_t tokens) const override;

  /// What the published code counts: parameters and centroids, which are variables there.
  int64_t published_count();
  const RoutingTransformerOptions& options() const { return options_; }

  TokenDropout token_dropout;
  Embedding embed;                                 // [vocab, E], image: [channels vocab, D]
  std::unique_ptr<LearnedPosition> rows, columns;  // of images, or null
  Dropout embedding_dropout;
  std::unique_ptr<Linear> input;  // [D, E] with bias, or null
  Dropout dropout;
  BlockStack<TransformerBlock> blocks;
  std::unique_ptr<Linear> output;  // [E, D] with bias, or null where E = D
  Linear head;                     // [vocab, E]

 private:
  /// The states [B, N, E] that the head reads.
  Tensor run(const Tensor& ids, KvCache* cache = nullptr);
  Tensor embedded(const Tensor& ids, const Tensor& positions);

  RoutingTransformerOptions options_;
};

}  // namespace heed::nn
