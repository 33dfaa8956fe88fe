// heed schema: the JSON Schemas of recipes and of claims, for editors.
#include <memory>

#include "recipes/engine/claim.h"
#include "recipes/engine/recipe.h"
#include "tools/command.h"

namespace heed::tools {
namespace {

void schema(const std::string& kind) {
  if (kind == "recipe") return print_json(recipes::recipe_schema());
  if (kind == "claim") return print_json(recipes::claim_schema());
  const std::vector<std::string> kinds = {"recipe", "claim"};
  fail_request("schema: there is none of '{}'{}; known: recipe, claim", kind,
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
  positional(command, "KIND", *kind, "recipe, or claim for claim.yaml files [default: recipe]");
  examples(command, {{"heed schema > recipe.schema.json", ""}, {"heed schema claim", ""}});
  command->callback([kind] { schema(*kind); });
}

}  // namespace heed::tools
