// Exponential moving average of the weights (Polyak & Juditsky 1992; Tarvainen & Valpola 2017):
// average = decay average + (1 - decay) weight after each step.
#pragma once

#include "optim/optimizer.h"

namespace heed::optim {

struct EmaOptions {
  double decay = 0.999;
  /// The decay of update n (from 0) is min(decay, (1 + n) / (10 + n)): a short run is not held back
  /// by its first weights.
  bool warmup = true;
  void options(Options& o);
};

class Ema {
 public:
  /// Starts from the parameters' present values. Averages are f32 (f64 for f64).
  explicit Ema(const NamedTensors& parameters, const EmaOptions& options = {});

  /// Moves the averages towards the parameters.
  void update();

  /// Exchanges parameters and averages in place: for an evaluation, then again to go on.
  void swap();
  bool swapped() const { return swapped_; }

  /// What a checkpoint must hold: the averages under the parameters' names and "ema.updates"
  /// (i64 []). Shares memory. Throws while swapped.
  NamedTensors state_tensors() const;
  /// Copies back; see Optimizer::load_state.
  void load_state(const NamedTensors& state);

 private:
  NamedTensors parameters_;
  std::vector<Tensor> averages_;
  EmaOptions options_;
  int64_t updates_ = 0;
  bool swapped_ = false;
};

/// While it lives, the parameters hold their averages; does nothing for null.
class AveragedWeights {
 public:
  explicit AveragedWeights(Ema* ema) : ema_(ema) {
    if (ema_ != nullptr) ema_->swap();
  }
  ~AveragedWeights() {
    if (ema_ != nullptr) ema_->swap();
  }
  AveragedWeights(const AveragedWeights&) = delete;
  AveragedWeights& operator=(const AveragedWeights&) = delete;

 private:
  Ema* ema_;
};

}  // namespace heed::optim
