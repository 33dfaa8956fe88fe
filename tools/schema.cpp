// heed schema: the JSON Schemas of recipes, claims and comparisons, for editors.
#include <memory>

#include "recipes/engine/claim.h"
#include "recipes/engine/comparison.h"
#include "recipes/engine/recipe.h"
#include "tools/command.h"

namespace heed::tools {
namespace {

void schema(const std::string& kind) {
  if (kind == "recipe") return print_json(recipes::recipe_schema());
  if (kind == "claim") return print_json(recipes::claim_schema());
  if (kind == "comparison") return print_json(recipes::comparison_schema());
  const std::vector<std::string> kinds = {"recipe", "claim", "comparison"};
  fail_request("schema: there is none of '{}'{}; known: recipe, claim, comparison", kind,
               did_you_mean(kind, kinds));
}

}  // namespace

void add_schema(CLI::App& heed) {
  auto kind = std::make_shared<std::string>("recipe");
  CLI::App* command =
      add_command(heed, "schema", "prints the JSON Schema of recipes", "what there is");
  details(command,
          "Editors with a YAML language server complete and check recipes with it: name the file "
          "in a recipe's first line, as in\n# yaml-language-server: $schema=recipe.schema.json");
  positional(
      command, "KIND", *kind,
      "recipe, claim for claim.yaml files or comparison for compare.yaml files [default: recipe]");
  examples(command, {{"heed schema > recipe.schema.json", ""}, {"heed schema claim", ""}});
  command->callback([kind] { schema(*kind); });
}

}  // namespace heed::tools
