// heed schema: the JSON Schema of recipes, for editors.
#include <memory>

#include "recipes/engine/recipe.h"
#include "tools/command.h"

namespace heed::tools {

void add_schema(CLI::App& heed) {
  CLI::App* command =
      add_command(heed, "schema", "prints the JSON Schema of recipes", "what there is");
  details(command,
          "Editors with a YAML language server complete and check recipes with it: name the file "
          "in a recipe's first line, as in\n# yaml-language-server: $schema=recipe.schema.json");
  examples(command, {{"heed schema > recipe.schema.json", ""}});
  command->callback([] { print_json(recipes::recipe_schema()); });
}

}  // namespace heed::tools
