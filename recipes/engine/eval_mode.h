// A guard around whatever uses the model during training without training it.
#pragma once

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

}  // namespace heed::recipes
