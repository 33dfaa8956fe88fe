// Comparison: several settings of a model side by side, in what they learn and in what they cost.
// Unlike a claim it asks for no relation and gives no verdict.
//
//   title: Causal attention in one small decoder
//   tests:
//     - name: text                        # every arm trains this recipe
//       recipe: text.yaml
//       columns: [{metric: bits_per_byte, title: bits a byte}]
//     - name: step                        # and `heed bench step` measures it
//       recipe: text.yaml
//       bench: [step, --steps, "20"]
//       columns: [{metric: step_ms.median, title: step, unit: ms}]
//   arms:
//     - {name: softmax, overrides: [model.attention.type=softmax]}
//     - {name: window, overrides: ["model.attention={type: window, window: 64}"]}
//
// Each test is run as a claim of its own (claim_runner.h), so that it can be killed and goes on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "recipes/engine/claim.h"

namespace heed::recipes {

/// A number of a test, shown for every arm.
struct ComparisonColumn {
  std::string metric;
  std::string title;
  std::string unit;
  std::string better = "lower";
  void options(Options& o);
};

/// A recipe that every arm trains, or that a benchmark measures with every arm's settings.
struct ComparisonTest {
  std::string name;
  std::string description;
  std::string recipe;
  std::vector<std::string> bench;
  std::vector<std::string> overrides;
  std::vector<ComparisonColumn> columns;
  void options(Options& o);
};

struct ComparisonArm {
  std::string name;
  std::string description;
  std::vector<std::string> overrides;
  std::vector<std::string> skips;
  void options(Options& o);

  bool takes(const ComparisonTest& test) const;
};

struct Comparison {
  std::string title;
  std::string notes;
  int64_t seeds = 1;
  std::vector<ComparisonTest> tests;
  std::vector<ComparisonArm> arms;
  void options(Options& o);

  std::string file;    ///< that it was read from
  std::string slug;    ///< the name of the file's folder
  std::string sha256;  ///< of the file's bytes

  /// With these tests and arms alone (none: all), in the file's order, but for tests that no such
  /// arm takes and arms that take no such test. RequestErrors: a name that is none, and where
  /// nothing is left.
  Comparison only(const std::vector<std::string>& test_names,
                  const std::vector<std::string>& arm_names) const;
};

/// Reads a compare.yaml: unknown keys, names used twice and tests without columns are RequestErrors
/// with file:line:column.
Comparison load_comparison(const std::string& path);

struct ComparisonPlan {
  Comparison comparison;
  std::string out;
  int64_t seeds = 0;
  std::vector<ClaimPlan> tests;  ///< one a test, in <out>/<test>
};

/// Lays the runs out in `out` ("" means runs/<slug>) with seeds 1 ... `seeds` (0: the file's
/// number) and reads every recipe with every arm's overrides: what is wrong in them is a
/// RequestError before anything runs.
ComparisonPlan plan_comparison(const Comparison& comparison, const std::string& out = "",
                               int64_t seeds = 0);

/// JSON Schema of comparison files (draft 2020-12).
Config comparison_schema();

}  // namespace heed::recipes
