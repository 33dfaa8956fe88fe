// The parts of the report's page.
#pragma once

#include <string>
#include <vector>

#include "recipes/engine/report/run_data.h"

namespace heed::recipes {

/// A whole page, self-contained, around the HTML of its main part.
std::string html_page(const std::string& title, const std::string& main);

/// Title, description and how far the run is; for several runs their number.
std::string header_part(const std::vector<RunData>& runs);
/// The numbers of one run, large.
std::string cards_part(const RunData& run);
/// The same numbers of several runs as a table, the best of each marked.
std::string table_part(const std::vector<RunData>& runs);
/// Bars: the best evaluation beside the predictors without a network; "" without any.
std::string baselines_part(const RunData& run);
std::string charts_part(const std::vector<RunData>& runs);
std::string samples_part(const std::vector<RunData>& runs);
/// What the runs ran on.
std::string environment_part(const std::vector<RunData>& runs);
std::string recipes_part(const std::vector<RunData>& runs);

}  // namespace heed::recipes
