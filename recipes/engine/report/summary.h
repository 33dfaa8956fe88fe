// The handful of numbers that sum a run up.
#pragma once

#include <string>
#include <vector>

#include "recipes/engine/report/run_data.h"

namespace heed::recipes {

/// One number: large in the page of one run, a column in the page of several.
struct Fact {
  std::string name;
  std::string value;   ///< "1.713", "81.2k"
  std::string remark;  ///< "3-gram: 2.11"
  double number = 0.0;
  int better = 0;  ///< -1: lower is better, 1: higher, 0: neither
};

/// What is known of the run, in a fixed order; what it did not log is left out.
std::vector<Fact> facts_of(const RunData& run);

}  // namespace heed::recipes
