// One run of a claim: an arm trained with one seed and measured at every point. Its folder is that
// of a normal run (see trainer.h) with claim.run.json beside:
//
//   {"training":"<sha256>","measurements":"<sha256>","parameters":812544,"step":600,"seconds":48.1,
//    "points":{"1x":{"loss":1.62,...},"4x":{...}}}
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "recipes/engine/claim.h"
#include "recipes/engine/observer.h"

namespace heed::recipes {

struct ClaimRunResult {
  int64_t parameters = 0;
  int64_t step = 0;      ///< of the checkpoint that was measured
  double seconds = 0.0;  ///< of training
  std::vector<std::pair<std::string, Metrics>> points;

  /// A metric at a point; an Error when it is absent or not finite.
  double value(const std::string& metric, const std::string& point) const;
};

/// What the folder holds when the run is trained and measured; nothing when that is still to be
/// done. A folder with another experiment in it (the recipe, an override or the seed has changed)
/// is a RequestError: its numbers must not be mixed with new ones.
std::optional<ClaimRunResult> finished_run(const ClaimPlan& plan, const ClaimRun& run);

/// Trains the run (going on where an earlier process stopped or was killed) and measures it; runs
/// the benchmark of an arm that is one.
/// `handle_signals`: see TrainRequest. One process at a time works in a folder; another one waits a
/// little, then fails.
ClaimRunResult execute_run(const ClaimPlan& plan, const ClaimRun& run, TrainObserver& observer,
                           bool handle_signals);

}  // namespace heed::recipes
