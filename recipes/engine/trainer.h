// The trainer: steps, accumulation, precision, clipping, schedules, EMA, logging, evaluation,
// checkpoints and resume, for any task.
//
// A run folder holds
//   recipe.yaml             the resolved recipe
//   metrics.jsonl           one JSON object a line: see metrics.h
//   events.out.tfevents.*   the same for TensorBoard
//   checkpoints/step-*/     see checkpoint.h
#pragma once

#include <string>

#include "recipes/engine/observer.h"
#include "recipes/engine/recipe.h"

namespace heed::recipes {

struct TrainRequest {
  Recipe recipe;
  /// Where the run goes; "" means runs/<name>. One that holds a run already is a RequestError
  /// unless `resume`.
  std::string run_dir;
  /// Goes on from the latest good checkpoint of run_dir (from the start when there is none).
  bool resume = false;
  /// Finishes the step, writes a checkpoint and ends on SIGINT and SIGTERM.
  bool handle_signals = false;
  /// Above 0: ends after so many steps, with no evaluation and no checkpoint (heed bench step).
  int64_t only_steps = 0;
  /// Who shares the work; world() when null. Every one of these ranks calls train().
  Communicator* ranks = nullptr;
};

/// Runs it. Throws RequestError before anything is written when the request is wrong, Error when
/// the training fails (a loss that is not finite, a full disk); the last checkpoint is then intact.
EndReport train(const TrainRequest& request, TrainObserver& observer);

/// The run folder that `train` would use.
std::string run_folder(const TrainRequest& request);

}  // namespace heed::recipes
