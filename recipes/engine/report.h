// The HTML report of runs: one self-contained page, opened by any browser without a network.
#pragma once

#include <string>
#include <vector>

namespace heed::recipes {

/// A page on one run, or on several side by side: what came out, the curves, samples, the resolved
/// recipe. Reads each folder's recipe.yaml and metrics.jsonl; a run that was killed or still goes
/// on is shown as far as it got. The folder of a comparison gives the comparison's page.
/// RequestError when a folder holds neither.
std::string report_page(const std::vector<std::string>& run_folders);

}  // namespace heed::recipes
