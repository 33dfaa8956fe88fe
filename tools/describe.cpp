// heed describe: what a recipe would train, without training it.
#include "recipes/engine/describe.h"

#include <fmt/format.h>

#include <memory>

#include "tools/command.h"

namespace heed::tools {
namespace {

struct DescribeArguments {
  std::string recipe;
  std::vector<std::string> overrides;
  int64_t depth = -1;
  bool json = false;
};

void describe(const DescribeArguments& arguments) {
  const recipes::Description description =
      recipes::describe(recipes::load_recipe(arguments.recipe, arguments.overrides));
  if (arguments.json) {
    print_json(recipes::to_config(description));
  } else {
    fmt::print("{}", recipes::to_text(description, static_cast<int>(arguments.depth)));
  }
}

}  // namespace

void add_describe(CLI::App& heed) {
  auto arguments = std::make_shared<DescribeArguments>();
  CLI::App* command = add_command(
      heed, "describe", "shows a recipe's modules, parameters, FLOPs and memory", "look closer");
  details(command, "Builds the model and opens the data, but trains nothing and writes nothing.");
  positional(command, "RECIPE", arguments->recipe, "a recipe file (docs/recipes.md)")->required();
  positional(command, "key=value", arguments->overrides,
             "replaces fields of the recipe: model.layers=12");
  option(command, "--depth", "N", arguments->depth, "levels of modules to show; -1: all");
  command->add_flag("--json", arguments->json, "print one JSON document");
  examples(command,
           {{"heed describe recipes/base/quickstart.yaml", ""},
            {"heed describe recipes/base/shakespeare-char.yaml model.layers=12 --depth 1", ""}});
  command->callback([arguments] { describe(*arguments); });
}

}  // namespace heed::tools
