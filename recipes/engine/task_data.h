// What tasks on one data set or another have in common: the tokenizer that a run keeps, and which
// part of the data is evaluated.
#pragma once

#include <string>

#include "data/labelled_dataset.h"
#include "recipes/engine/recipe.h"

namespace heed::recipes {

/// The file of a run's tokenizer among the assets of a checkpoint.
std::string tokenizer_file(const std::string& assets);
/// Whether the assets (none where empty) hold one.
bool has_tokenizer(const std::string& assets);
/// A recipe's `data`; where the assets hold a tokenizer, with that instead of its own, so that a
/// run keeps the vocabulary that it began with. Data that are made have one vocabulary, and no
/// choice.
Config with_saved_tokenizer(Config data, const std::string& assets);

/// "The option `part`" of a task: what is evaluated.
void part_option(Options& o, std::string& part);
/// The part that the option names; "auto" is the validation part where there is one, else the test
/// part. A RequestError, at the recipe's line, where the named part is empty.
data::Part chosen_part(const Recipe& recipe, const std::string& part, int64_t validation,
                       int64_t test, const std::string& summary);

}  // namespace heed::recipes
