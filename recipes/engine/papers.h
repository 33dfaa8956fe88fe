// The papers that heed is for, and how far each has come: recipes/papers.yaml states the facts, and
// everything else is looked up where it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/options.h"

namespace heed::recipes {

/// What is known of a paper before anything of it is built.
struct Paper {
  std::string slug;  ///< names its folder of recipes
  std::string title;
  std::vector<std::string> arxiv;  ///< numbers, its own first
  int64_t year = 0;
  std::vector<std::string> kinds;  ///< "mechanism", "family", "method", ...
  std::string summary;
  void options(Options& o);
};

/// Reads recipes/papers.yaml; unknown keys and a slug that stands there twice are RequestErrors.
std::vector<Paper> load_papers(const std::string& file);

/// The verdict on record beside a claim: recipes/<slug>/claim.result.json.
struct PaperVerdict {
  std::string verdict;  ///< "confirmed", "refuted", "inconclusive"
  std::string size;
  int64_t seeds = 0;
  bool outdated = false;  ///< the claim is no longer the one that was run
};

/// What there is of a paper.
struct PaperState {
  std::vector<std::string> parts;  ///< registered modules whose source cites it, sorted
  std::vector<std::string> files;  ///< of smoke, mini, claim, paper: those that it has
  std::optional<PaperVerdict> verdict;

  /// In a few words: the verdict, else what is there, else "not begun".
  std::string text() const;
};

/// Looks into the registry and into `folder` (recipes/<slug>, which need not exist).
PaperState paper_state(const Paper& paper, const std::string& folder);

}  // namespace heed::recipes
