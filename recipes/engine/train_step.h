// One optimiser step: the forward and backward passes of its micro-batches, gradients summed over
// the ranks, clipping, the update.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "distributed/gradient_reducer.h"
#include "distributed/held_parts.h"
#include "distributed/mesh.h"
#include "distributed/sharded_reducer.h"
#include "recipes/engine/recipe.h"
#include "recipes/engine/shared_model.h"
#include "recipes/engine/task.h"

namespace heed::recipes {

struct StepResult {
  double loss = 0.0;       ///< mean over the targets of all ranks
  double grad_norm = 0.0;  ///< before clipping
  /// "" once the parameters were updated; else they were not, and this says what was not finite and
  /// where it first was. The same on all ranks.
  std::string nonfinite;
  bool asked_to_stop = false;  ///< some rank was
};

class TrainStep {
 public:
  /// All outlive this; the recipe's `train` section counts. The model is the task's.
  TrainStep(const Recipe& recipe, Task& task, SharedModel& model, Mesh& mesh);

  /// Step `step` (from 0) with learning rate `lr`; every rank calls it, and says whether it was
  /// asked to stop.
  StepResult run(int64_t step, double lr, bool asked_to_stop);

 private:
  /// The step's micro-batches of this rank, and all ranks' targets in them.
  std::pair<std::vector<Batch>, int64_t> next_batches(int64_t step);
  /// Forward and backward passes of them; their part of the mean loss over all `total` targets.
  /// With `reduce` the gradients' sums over ranks are under way in the end.
  double accumulate(int64_t step, const std::vector<Batch>& batches, int64_t total, bool reduce);
  /// Around a backward pass whose gradients count: `last` of the step or not.
  void begin_reduction(bool last);
  void end_reduction();
  void zero_grad();
  /// Gives the shares the sums of their gradients.
  void take_shares();
  double grad_norm() const;
  /// The gradients' norm once `train.adaptive_clip` has bounded each unit's.
  double clipped_norm(double norm) const;
  std::string explain(int64_t step, const std::vector<Batch>& batches, int64_t total);

  const Recipe& recipe_;
  Task& task_;
  optim::Optimizer& optimizer_;
  Mesh& mesh_;
  Pipeline& pipeline_;
  HeldParts parts_;
  ShardedParameters* sharded_;
  GradientReducer reducer_;  ///< of nothing where parameters are sharded
  std::unique_ptr<ShardedReducer> share_reducer_;
  std::vector<int64_t> holders_;  ///< ranks that hold the same as this one, by optimised tensor
};

}  // namespace heed::recipes
