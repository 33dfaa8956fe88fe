// The weights that an evaluation sees.
#pragma once

#include <exception>

#include "distributed/sharded_parameters.h"
#include "optim/ema.h"

namespace heed::recipes {

/// While it lives, the parameters hold their averages (unless `ema` is null) and are whole on every
/// rank. Made and dropped by all ranks that share parameters; either may be null.
class EvaluationWeights {
 public:
  EvaluationWeights(optim::Ema* ema, ShardedParameters* sharded) : ema_(ema), sharded_(sharded) {
    if (ema_ != nullptr) ema_->swap();
    gather();
  }
  ~EvaluationWeights() noexcept(false) {
    if (ema_ != nullptr) ema_->swap();
    if (std::uncaught_exceptions() > 0) return;  // the other ranks may not come to it
    if (sharded_ != nullptr && sharded_->sharding() == Sharding::parameters) {
      sharded_->release();
    } else {
      gather();
    }
  }
  EvaluationWeights(const EvaluationWeights&) = delete;
  EvaluationWeights& operator=(const EvaluationWeights&) = delete;

 private:
  // Whole parameters differ from the shares only while these are averages.
  void gather() {
    if (sharded_ == nullptr) return;
    if (ema_ != nullptr || sharded_->sharding() == Sharding::parameters) sharded_->gather();
  }

  optim::Ema* ema_;
  ShardedParameters* sharded_;
};

}  // namespace heed::recipes
