// Sequential recommender: what a user does next, from what they did before; SASRec (Kang and
// McAuley, arXiv 1808.09781) with any causal mechanism in its attention slot:
//   x = dropout(sqrt(C) E[items] + P[slot]);   causal blocks, norm first;   h = norm(x)
//   score of item j after place t = h_t . E_j
// A row's newest item has the last slot of the context, whatever the row's length.
//
// Items are 1 ... items; 0 stands behind a row's last item, where a causal model never looks: so no
// mask is needed, and every causal mechanism fits.
#pragma once

#include <memory>
#include <string>

#include "core/options.h"
#include "nn/layers/embedding.h"
#include "nn/models/transformer_block.h"

namespace heed::nn {

struct SequentialRecommenderOptions {
  int64_t items = 0;
  int64_t context = 50;
  int64_t layers = 2;
  int64_t dim = 64;
  int64_t heads = 1;
  int64_t hidden = 0;
  std::string mlp = "relu";
  std::string norm = "layer_norm";
  double norm_eps = 1e-8;
  std::string position = "learned";
  double dropout = 0.2;
  double attention_dropout = 0.2;
  bool scale_embedding = true;
  bool checkpointing = false;
  double init_std = 0.01;
  Config attention = Config(Config::Map{{"type", "softmax"}});

  void options(Options& o);
};

class SequentialRecommender : public Module {
 public:
  explicit SequentialRecommender(const SequentialRecommenderOptions& options);

  int64_t items() const { return options_.items; }
  int64_t context() const { return options_.context; }
  Config config() const;

  /// Scores [B, items] of what comes after each row of items [B, N] (i64, N <= context): column j
  /// is item j + 1.
  Tensor forward(const Tensor& items);
  /// Hidden states [B, N, C]; behind a row's last item they mean nothing.
  Tensor features(const Tensor& items);
  /// The hidden state at each row's last item, [B, C]. A row without items is an error.
  Tensor last(const Tensor& features, const Tensor& items) const;

  /// Mean cross-entropy over all items (nats) of targets [B, N], 0 where none: the whole softmax,
  /// never stored at once. 0 without any target.
  Tensor loss(const Tensor& items, const Tensor& targets);
  /// SASRec's own loss: binary cross-entropy of each target against `negatives` [B, N, K], both
  /// averaged over the places with a target and summed.
  Tensor sampled_loss(const Tensor& items, const Tensor& targets, const Tensor& negatives);
  /// The cross-entropy of one target a row [B] after its last item, f32 [B]; not recorded.
  Tensor loss_rows(const Tensor& items, const Tensor& targets);

  /// Forward floating-point operations of a row of context() items, without scores.
  double flops() const;
  const SequentialRecommenderOptions& options() const { return options_; }

  Embedding embed;                      // [items, C]
  std::unique_ptr<Embedding> position;  // [context, C], or null
  Dropout dropout;
  BlockStack<TransformerBlock> blocks;
  std::unique_ptr<Norm> norm;

 private:
  /// The loss where there is no target: 0, with zeros as gradients.
  Tensor nothing(const Tensor& items);

  SequentialRecommenderOptions options_;
};

}  // namespace heed::nn
