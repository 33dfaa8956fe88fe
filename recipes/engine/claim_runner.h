// Runs a claim: every arm with every seed, several at a time, each a normal run in its own folder.
//
//   runs/<slug>-<size>/
//     claim.yaml            the claim as it was when its first run started
//     <arm>/seed-<n>/       a run (see trainer.h, claim_run.h)
//     <arm>/seed-<n>.log    what its process printed
//     claim.result.json     verdict and numbers (written by the caller)
//     claim.html
//
// Killed or interrupted, it goes on where it was: finished runs are read, begun ones resumed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "recipes/engine/claim_result.h"

namespace heed::recipes {

/// How far a claim is.
struct ClaimProgress {
  int64_t runs = 0, finished = 0, failed = 0;
  int64_t steps = 0, steps_done = 0;  ///< of all runs together
  std::vector<std::string> current;   ///< "alibi:2 120/600"
};

/// Hears what the runner does, on its thread.
class ClaimObserver {
 public:
  virtual ~ClaimObserver() = default;
  virtual void on_start(const ClaimPlan&, int64_t /*finished_before*/) {}
  /// About once a second.
  virtual void on_progress(const ClaimProgress&) {}
  /// A run ended, or was found finished.
  virtual void on_run(const ClaimRunOutcome&, bool /*found*/) {}
  virtual void on_warning(const std::string& /*message*/) {}
};

struct ClaimRunnerOptions {
  int64_t jobs = 0;  ///< runs at a time; 0: one a core
  /// The command line of a process that executes one run (execute_run). Without one the runs go one
  /// after the other in this process.
  std::function<std::vector<std::string>(const ClaimRun&)> command;
  /// SIGINT and SIGTERM let the runs' processes save a checkpoint first.
  bool handle_signals = false;
};

/// Runs the plan and judges it. A run that fails is an outcome with its error, and the others go
/// on. Throws RequestError before anything runs when a folder holds another experiment, Error when
/// interrupted.
ClaimResult run_claim(const ClaimPlan& plan, const ClaimRunnerOptions& options,
                      ClaimObserver& observer);

/// Removes what a claim's folder holds of it (its runs, records and results), and nothing else.
void remove_claim(const ClaimPlan& plan);

}  // namespace heed::recipes
