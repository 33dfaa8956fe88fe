// The HTML page of a comparison: the table of all arms, the curves of every test, the arms'
// settings.
#pragma once

#include <string>

#include "core/config.h"

namespace heed::recipes {

/// One self-contained page from a compare.result.json and the runs in the folder beside it; curves
/// are of the first seed, and left out for runs that are not there.
std::string comparison_page(const Config& document, const std::string& folder);

/// The table alone, in Markdown, for a README.
std::string comparison_markdown(const Config& document);

/// Whether the folder holds a comparison's result.
bool has_comparison(const std::string& folder);
/// Reads the folder's compare.result.json and makes its page.
std::string comparison_page_of(const std::string& folder);

}  // namespace heed::recipes
