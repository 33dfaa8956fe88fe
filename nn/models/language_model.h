// What training, evaluation and generation ask of a language model, whichever it is.
#pragma once

#include <memory>
#include <string>

#include "core/config.h"
#include "nn/attention/kv_cache.h"
#include "nn/module.h"

namespace heed::nn {

/// Documents that were packed into rows of ids: each gets what it would alone in a row.
struct PackedDocuments {
  /// [B, N] i64: 0, 1, ... along a row, whose document each token is; undefined: one a row.
  Tensor ids = {};
  /// Positions count from each document's first token in the row; else from the row's.
  bool restart = true;
};

class LanguageModel : public Module {
 public:
  /// Number of token ids.
  virtual int64_t vocab() const = 0;
  /// Tokens in a training sequence.
  virtual int64_t context() const = 0;
  /// Whether sequences longer than context() make sense (no learned position table).
  virtual bool extrapolates() const = 0;
  /// The whole configuration, `type` first, defaults filled in: make_language_model of it gives the
  /// same model.
  virtual Config config() const = 0;

  /// ids [B, N] (i64 or i32) -> logits [B, N, vocab].
  virtual Tensor forward(const Tensor& ids, const PackedDocuments& documents = {}) = 0;
  /// Mean cross-entropy (nats) of targets [B, N] given ids [B, N]: position i of ids predicts
  /// position i of targets. Targets of -100 do not count. All logits are never stored at once.
  virtual Tensor loss(const Tensor& ids, const Tensor& targets,
                      const PackedDocuments& documents = {}) = 0;
  /// The cross-entropy of each target, f32 [B, N], 0 where it is -100; not recorded.
  virtual Tensor loss_rows(const Tensor& ids, const Tensor& targets,
                           const PackedDocuments& documents = {}) = 0;
  /// Why the model cannot keep packed documents apart; empty where it can.
  virtual std::string cannot_pack() const = 0;

  /// An empty state for decode().
  virtual std::unique_ptr<DecodeState> start() const = 0;
  /// Takes in the next tokens ids [B, T] and returns the logits after the last of them, [B, vocab];
  /// not recorded. The batch must stay the same from call to call.
  virtual Tensor decode(const Tensor& ids, DecodeState& state) = 0;

  /// Forward floating-point operations a token in sequences of `tokens` (a multiply-add counts as
  /// two). A training step costs three times that, recomputation aside.
  virtual double flops_per_token(int64_t tokens) const = 0;
};

/// The language model that config's `type` names ("gpt" when absent), not yet initialised. `vocab`
/// and `context`, when positive, stand in where the config leaves those keys out or has 0; a
/// preset's vocab of as many ids or more stays, and a configured one smaller than `vocab` is a
/// RequestError.
std::unique_ptr<LanguageModel> make_language_model(const Config& config, int64_t vocab = 0,
                                                   int64_t context = 0);

}  // namespace heed::nn
