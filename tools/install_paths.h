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

/// Folders of recipes named after papers: all but "base" and "engine".
std::vector<std::string> paper_folders();

}  // namespace heed::tools
