// What a comparison measured, as compare.result.json:
//
//   format (1), comparison, title, notes, seeds
//   tests    each: name, description, recipe, bench, columns (metric, title, unit, better)
//   arms     each: name, description, overrides, parameters (by test), and
//            results: test -> metric -> values (seed by seed), mean, deviation
//   failed   each: test, arm, seed, error
//   comparison_sha256, command, heed (version and revision)
//
// No trace of the machine is in it but the times that benchmarks measure.
#pragma once

#include <string>
#include <vector>

#include "recipes/engine/claim_result.h"
#include "recipes/engine/comparison.h"

namespace heed::recipes {

struct ComparisonResult {
  ComparisonPlan plan;
  std::vector<ClaimResult> tests;  ///< as in the plan

  int64_t failures() const;
};

Config to_config(const ComparisonResult& result, const std::string& command,
                 const std::string& version);

/// What a saved compare.result.json says of an arm in a column; mean is NaN where nothing was
/// measured.
struct ComparisonCell {
  double mean;
  double deviation = 0.0;
  int64_t runs = 0;
  bool best = false;  ///< of the column's arms, where these differ
  double part = 0.0;  ///< of the best: 1 for the best, towards 0 for worse ones
};

/// The cells of one column, arm by arm.
std::vector<ComparisonCell> column_cells(const Config& document, const std::string& test,
                                         const Config& column);

/// A cell's number in the column's unit: "1.72 ± 0.01", "26.3 MiB"; "" where there is none.
std::string cell_text(const ComparisonCell& cell, const Config& column);

}  // namespace heed::recipes
