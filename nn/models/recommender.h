// A recommender: what a user does next, from what they did before. Whatever reads the row, a score
// is a product with the item's embedding:
//   score of item j after place t = h_t . E_j
//
// Items are 1 ... items; 0 stands behind a row's last item, where a causal model never looks.
#pragma once

#include <memory>

#include "core/config.h"
#include "nn/layers/dropout.h"
#include "nn/layers/embedding.h"
#include "nn/losses/transitions.h"

namespace heed::nn {

class Recommender : public Module {
 public:
  int64_t items() const { return embed.weight.size(0); }
  /// Most items of a row.
  int64_t context() const { return context_; }
  virtual Config config() const = 0;

  /// Hidden states [B, N, C] of items [B, N] (i64, N <= context); behind a row's last item they
  /// mean nothing.
  virtual Tensor features(const Tensor& items) = 0;
  /// Forward floating-point operations of a row of context() items, without scores.
  virtual double flops() const = 0;

  /// Scores [B, items] of what comes after each row of items [B, N]: column j is item j + 1.
  Tensor forward(const Tensor& items);
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

  /// What the embeddings, times sqrt(C) and under dropout, know of which item follows which: the
  /// distillation of counts (nn/losses/transitions.h) at every one of items [B, N]. 0 without any.
  Tensor transition_loss(const Tensor& items, const TransitionTeacher& teacher);

  Embedding embed;  // [items, C]

 protected:
  struct Sizes {
    int64_t items, context, dim;
    double init_std;  ///< of the embeddings, which start normal
    double dropout;   ///< of transition_loss()
  };
  /// A RequestError for no items: `name` is the model's.
  Recommender(const char* name, const Sizes& sizes);

  /// Embeddings of items [B, N], some item's where there is none.
  Tensor embedded(const Tensor& items);
  /// The slots [B, N] of a row's items: its newest has the last one of the context.
  Tensor slots(const Tensor& items) const;

 private:
  /// The loss where there is no target: 0, with zeros as gradients.
  Tensor nothing(const Tensor& items);

  Dropout transition_dropout_;
  int64_t context_;
};

/// The recommender that config's `type` names, not yet initialised. `items` stand in where the
/// config leaves them out or has 0. A RequestError for another kind of model, or fewer items than
/// the data's.
std::unique_ptr<Recommender> make_recommender(const Config& config, int64_t items);

}  // namespace heed::nn
