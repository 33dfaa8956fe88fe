#include "recipes/engine/task_data.h"

#include <filesystem>

#include "data/registry.h"

namespace heed::recipes {

namespace fs = std::filesystem;

std::string tokenizer_file(const std::string& assets) {
  return (fs::path(assets) / "tokenizer.json").string();
}

bool has_tokenizer(const std::string& assets) {
  return !assets.empty() && fs::exists(tokenizer_file(assets));
}

Config with_saved_tokenizer(Config data, const std::string& assets) {
  if (!has_tokenizer(assets)) return data;
  const Config* type = data.find("type");
  const bool chosen = type == nullptr || data::find_dataset(type->as_string(), type->where())
                                             .schema()
                                             .at("properties")
                                             .has("tokenizer");
  if (chosen) {
    data.set("tokenizer", Config(Config::Map{{"file", tokenizer_file(assets)}}));
  }
  return data;
}

void part_option(Options& o, std::string& part) {
  o.field("part", part, "what is evaluated: validation, test, or the first of them that there is",
          {.one_of = {"auto", "validation", "test"}});
}

data::Part chosen_part(const Recipe& recipe, const std::string& part, int64_t validation,
                       int64_t test, const std::string& summary) {
  const bool tested = part == "test" || (part == "auto" && validation == 0);
  if (part != "auto" && (tested ? test : validation) == 0) {
    fail_request(recipe.task.at("part").where(),
                 fmt::format("task {}: the data has no {} part ({})",
                             recipe.task.at("type").as_string(), part, summary));
  }
  return tested ? data::Part::test : data::Part::validation;
}

}  // namespace heed::recipes
