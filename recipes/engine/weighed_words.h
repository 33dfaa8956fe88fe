// A text whose words were weighed by a pooling with attention: a file in a run's folder `samples`,
// which the report shows as a heat map.
#pragma once

#include <string>
#include <vector>

#include "core/config.h"

namespace heed::recipes {

struct WeighedWords {
  std::string label, predicted;            ///< classes
  std::vector<std::string> words;          ///< tokens, with the spaces before them
  std::vector<std::vector<double>> heads;  ///< of each head the words' weights
};

Config to_config(const WeighedWords& sample);
/// Reads to_config()'s document; a RequestError for another.
WeighedWords read_weighed_words(const Config& document);

/// The same as HTML: the text once for each head, its words the darker the more they weigh there,
/// against the head's heaviest.
std::string heat_map(const WeighedWords& sample);

}  // namespace heed::recipes
