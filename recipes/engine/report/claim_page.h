// The HTML page of a claim: verdict, relations, plot, numbers of every run, the claim's own text.
#pragma once

#include <string>

#include "recipes/engine/claim_result.h"

namespace heed::recipes {

/// One self-contained page. `command` and `version` are shown as they stand.
std::string claim_page(const ClaimResult& result, const std::string& command,
                       const std::string& version);

/// The page's plot as an SVG file of its own; "" when no run has a result.
std::string claim_plot(const ClaimResult& result);

}  // namespace heed::recipes
