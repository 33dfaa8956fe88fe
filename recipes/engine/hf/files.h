// Names of files that import and export share.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace heed::recipes::hf {

inline constexpr const char* kConfig = "config.json";
inline constexpr const char* kTokenizer = "tokenizer.json";
/// The recipe of a model that heed exported, beside its config.json.
inline constexpr const char* kRecipe = "heed-recipe.yaml";
/// How sentence-transformers makes one vector of a text's.
inline constexpr const char* kPooling = "1_Pooling/config.json";
/// Begins the names, in a checkpoint, of the hub's files that heed only keeps.
inline constexpr const char* kKept = "hf-";

/// The files of a hub's folder that are neither weights nor code, and the config.json of the parts
/// that sentence-transformers has in folders of their own ("1_Pooling"): (path, the name to keep
/// them under), by name.
std::vector<std::pair<std::string, std::string>> kept_files(const std::string& folder);
/// Those that a checkpoint has kept: (path, the name that they had below their folder).
std::vector<std::pair<std::string, std::string>> files_kept_in(const std::string& checkpoint);

/// The last part of a folder's path, also where a slash ends it.
std::string name_of_folder(const std::string& folder);

/// The folder beside `destination`, empty.
std::string start_folder(const std::string& destination);
/// It becomes `destination`.
void finish_folder(const std::string& started, const std::string& destination);
void drop_folder(const std::string& started);

/// Makes a folder beside `destination`, has it filled and gives it that name; when that fails
/// nothing is left. A RequestError where `destination` holds something.
template <class Fill>
void appear_whole(const std::string& destination, Fill&& fill) {
  const std::string started = start_folder(destination);
  try {
    fill(started);
    finish_folder(started, destination);
  } catch (...) {
    drop_folder(started);
    throw;
  }
}

}  // namespace heed::recipes::hf
