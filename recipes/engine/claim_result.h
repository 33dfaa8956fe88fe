// From a claim's measurements to its verdict.
//
// A relation's effect is the improvement of the method over the baseline in the metric's better
// direction: a difference of means, or a ratio of geometric means. Its 95% interval is Welch's over
// the runs of both arms (for one arm at two points, the paired interval over its seeds). The margin
// was fixed beforehand:
//
//   confirmed      the whole interval lies beyond the margin
//   refuted        the whole interval lies short of it
//   inconclusive   the interval holds the margin, or a side has fewer than two runs
//
// A claim is confirmed when all its relations are, refuted when one is, else inconclusive. See
// docs/claims.md for the sources.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "recipes/engine/claim.h"
#include "recipes/engine/claim_run.h"
#include "recipes/engine/statistics.h"

namespace heed::recipes {

enum class Verdict { confirmed, refuted, inconclusive };
const char* verdict_name(Verdict verdict);

/// What became of one run.
struct ClaimRunOutcome {
  ClaimRun run;
  std::optional<ClaimRunResult> result;
  std::string error;  ///< why there is no result
};

struct RelationOutcome {
  ClaimRelation relation;
  Estimate effect;  ///< in the metric's unit, or a factor
  Verdict verdict = Verdict::inconclusive;
  std::string reason;  ///< why it is inconclusive, where it is not the interval
};

struct ClaimResult {
  ClaimPlan plan;
  std::vector<ClaimRunOutcome> runs;
  std::vector<RelationOutcome> relations;
  Verdict verdict = Verdict::inconclusive;
  std::vector<std::string> changes;  ///< of the claim's file since its first run started
  std::string sha256_at_start;       ///< of the claim's file then

  int64_t failures() const;
  /// A metric (none: the claim's) of an arm at a point, seed by seed, of the runs that have it.
  std::vector<double> values(const std::string& arm, const std::string& point,
                             const std::string& metric = "") const;
};

/// Fills relations and verdict in from the runs.
void judge(ClaimResult& result);

/// A relation in words: "alibi beats rotary at 4x by more than 0.05".
std::string relation_text(const ClaimRelation& relation);

/// claim.result.json, without a trace of the machine (times and paths): docs/claims.md has its
/// fields. `command` and `version` are recorded as they stand.
Config to_config(const ClaimResult& result, const std::string& command, const std::string& version);

}  // namespace heed::recipes
