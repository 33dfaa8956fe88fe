// A guard around whatever uses the model during training without training it.
#pragma once

#include <memory>
#include <utility>

#include "autograd/tape.h"
#include "core/random.h"
#include "nn/module.h"

namespace heed::recipes {

/// While it lives, the module is in eval mode and nothing is recorded; the module's mode and the
/// run's random context come back at the end.
class EvalMode {
 public:
  explicit EvalMode(nn::Module& module)
      : module_(module), training_(module.training()), random_(random_context()) {
    module_.eval();
  }
  ~EvalMode() {
    module_.train(training_);
    random_context() = random_;
  }
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  nn::Module& module_;
  bool training_;
  RandomContext random_;
  NoGrad no_grad_;
};

/// While it lives, every rank's model takes whole sequences by itself (generation: token by token).
class WholeSequences {
 public:
  /// `split` is the module's own, or null.
  WholeSequences(nn::Module& module, std::shared_ptr<const nn::TokenSplit> split)
      : module_(module), split_(std::move(split)) {
    if (split_) module_.split_tokens(nullptr);
  }
  ~WholeSequences() {
    if (split_) module_.split_tokens(split_);
  }
  WholeSequences(const WholeSequences&) = delete;
  WholeSequences& operator=(const WholeSequences&) = delete;

 private:
  nn::Module& module_;
  std::shared_ptr<const nn::TokenSplit> split_;
};

}  // namespace heed::recipes
