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

/// The name that `heed reproduce` knows a claim by: its folder's.
std::string claim_slug(const std::string& claim_file);

}  // namespace heed::tools
