// Claim: a paper's central result restated as a small controlled experiment, fixed before it is
// run.
//
//   title: ALiBi reads further than it was trained
//   paper: "Press, Smith, Lewis, Train Short, Test Long, ICLR 2022, arXiv 2108.12409"
//   statement: what the paper says, in a sentence or two
//   metric: {name: bits_per_byte, better: lower}
//   arms:
//     - {name: sinusoidal, role: baseline, overrides: [model.position=sinusoidal]}
//     - {name: alibi, role: method, overrides: [model.position=alibi]}
//   axis: tokens at evaluation
//   points:                          # one training, several measurements
//     - {name: 1x, overrides: [model.context=64]}
//     - {name: 4x, overrides: [model.context=256]}
//   relations:                       # all must hold
//     - {method: alibi, baseline: sinusoidal, at: 4x, margin: 0.05}
//   sizes:
//     mini: {seeds: 3}               # trains mini.yaml, beside this file
//
// An arm may name a benchmark instead of a recipe: what is measured then is what it costs.
//
// docs/claims.md says how one is written and how the verdict is reached.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/options.h"
#include "recipes/engine/task.h"

namespace heed::recipes {

/// Arms that are compared: a recipe and what they change in it.
struct ClaimArm {
  std::string name;
  std::string role = "baseline";
  std::string description;
  std::string recipe;
  std::vector<std::string> bench;
  std::vector<std::string> overrides;
  void options(Options& o);
};

/// A measurement of a trained arm: a name and what it changes in the run's recipe.
struct ClaimPoint {
  std::string name;
  std::vector<std::string> overrides;
  void options(Options& o);
};

struct ClaimMetric {
  std::string name = "loss";
  std::string better = "lower";
  std::string checkpoint = "final";
  void options(Options& o);
};

/// "The method is better than the baseline by more than the margin."
struct ClaimRelation {
  std::string method;
  std::string baseline;
  std::string at;
  std::string baseline_at;
  std::string metric;
  std::string compare = "difference";
  double margin = 0.0;
  std::string statement;
  void options(Options& o);
};

struct ClaimSize {
  std::string recipe;
  int64_t seeds = 3;
  std::vector<std::string> overrides;
  std::vector<ClaimPoint> points;
  void options(Options& o);
};

struct ClaimSizes {
  ClaimSize smoke, mini, paper;
  void options(Options& o);
};

struct Claim {
  std::string title;
  std::string paper;
  std::string statement;
  std::string notes;
  ClaimMetric metric;
  std::vector<ClaimArm> arms;
  std::string axis;
  std::vector<ClaimPoint> points;
  std::vector<ClaimRelation> relations;
  ClaimSizes sizes;
  void options(Options& o);

  std::string file;                            ///< that it was read from
  std::string slug;                            ///< the name of the file's folder
  std::string sha256;                          ///< of the file's bytes
  std::vector<std::string> more_metrics = {};  ///< that every arm must have; not of the file

  const ClaimArm& arm(const std::string& name) const;
  /// The points of a size: its own, or the claim's; one named "trained" that changes nothing when
  /// there are none.
  std::vector<ClaimPoint> points_of(const std::string& size) const;
  const ClaimSize& size(const std::string& name) const;
  /// The metrics that an arm must have: the claim's and more_metrics, then those that relations
  /// with it ask for.
  std::vector<std::string> metrics_of(const std::string& arm) const;
};

/// "smoke", "mini", "paper".
const std::vector<std::string>& claim_sizes();

/// Reads a claim.yaml: unknown keys, names that nothing carries (an arm, a point), and relations
/// without two sides are RequestErrors with file:line:column.
Claim load_claim(const std::string& path);

/// One run of a claim: an arm trained with one seed.
struct ClaimRun {
  std::string arm;
  int64_t seed = 0;
  std::string recipe;                  ///< the recipe's file; empty: a benchmark
  std::vector<std::string> overrides;  ///< the seed's included
  std::vector<std::string> bench;      ///< the benchmark's arguments
  std::string folder;                  ///< of the run: <out>/<arm>/seed-<seed>

  std::string label() const;  ///< "alibi:2"
};

/// Runs `heed bench` with these arguments and returns the numbers that it prints.
using ClaimBench = std::function<Metrics(const std::vector<std::string>& arguments)>;

/// Everything that is to be run for one size of a claim.
struct ClaimPlan {
  Claim claim;
  std::string size;
  std::string out;
  int64_t seeds = 0;
  std::vector<ClaimPoint> points;
  std::vector<ClaimRun> runs;  ///< seed by seed, so that early results compare all arms
  ClaimBench bench;            ///< what measures arms of benchmarks
};

/// Lays the runs out in `out` ("" means runs/<slug>-<size>) with seeds 1 ... `seeds` (0 means the
/// size's own number) and reads every arm's recipe: unknown keys and wrong values are RequestErrors
/// before anything runs, and so is a size without its recipe file. What shows only with the data
/// and the model built fails the runs.
ClaimPlan plan_claim(const Claim& claim, const std::string& size, const std::string& out = "",
                     int64_t seeds = 0);

/// JSON Schema of claim files (draft 2020-12).
Config claim_schema();

}  // namespace heed::recipes
