// Where this command's recipes are.
#pragma once

#include <string>
#include <vector>

namespace heed::tools {

/// The folder of recipes that came with this command: beside the build (../recipes from
/// build/heed) or beside the installation (../share/heed/recipes); "" when there is none.
std::string recipes_folder();

/// The recipe files below that folder, sorted; "engine" (the C++ sources) left out.
std::vector<std::string> recipe_files();

/// The claims below that folder (claim.yaml files), sorted.
std::vector<std::string> claim_files();

/// The comparisons below that folder (compare.yaml files), sorted.
std::vector<std::string> comparison_files();

/// The name that `heed reproduce` and `heed compare` know a file by: its folder's.
std::string slug_of(const std::string& file);

/// The file `name` (claim.yaml) that `given` means: a path of it, its folder, a folder below the
/// recipes', or the slug of one of `files`. A RequestError for anything else, that calls it `what`.
std::string find_in_recipes(const std::string& given, const std::string& name,
                            const std::vector<std::string>& files, const std::string& what);

}  // namespace heed::tools
