// The HTML report of runs: one self-contained page, opened by any browser without a network.
#pragma once

#include <string>
#include <vector>

namespace heed::recipes {

/// A page on one run, or on several side by side: what came out, the curves, samples, the resolved
/// recipe. Reads each folder's recipe.yaml and metrics.jsonl; a run that was killed or still goes
/// on is shown as far as it got. RequestError when a folder holds no run.
std::string report_page(const std::vector<std::string>& run_folders);

}  // namespace heed::recipes
