// heed plan: what a recipe would take of many ranks, and the mesh to run it on.
#include "recipes/engine/plan/plan.h"

#include <fmt/format.h>

#include <memory>

#include "recipes/engine/plan/paper_tables.h"
#include "tools/command.h"
#include "tools/plan_text.h"

namespace heed::tools {
namespace {

struct PlanArguments {
  std::string recipe;
  std::vector<std::string> overrides;
  int64_t ranks = 0;
  std::string mesh, machine = "h100", shard, method, checkpointing;
  int64_t micro_batches = 0;
  bool paper = false;
  bool json = false;
};

bool on_or_off(const std::string& text) {
  if (text != "on" && text != "off") {
    fail_request("--checkpointing is on or off, not '{}'", text);
  }
  return text == "on";
}

recipes::PlanRequest request_of(const PlanArguments& arguments) {
  recipes::PlanRequest request;
  request.ranks = arguments.ranks;
  request.overrides = arguments.overrides;
  request.machine = recipes::find_machine(arguments.machine);
  if (!arguments.mesh.empty()) {
    request.mesh = recipes::mesh_from_text(arguments.mesh, arguments.ranks);
  }
  if (!arguments.shard.empty()) request.sharding = sharding_from_name(arguments.shard);
  if (!arguments.method.empty()) request.method = sequence_method(arguments.method);
  if (!arguments.checkpointing.empty()) {
    request.checkpointing = on_or_off(arguments.checkpointing);
  }
  if (arguments.micro_batches > 0) request.micro_batches = arguments.micro_batches;
  return request;
}

void plan(const PlanArguments& arguments) {
  if (arguments.paper) {
    if (arguments.json) return print_json(recipes::paper_tables_config());
    fmt::print("{}", recipes::paper_tables_text());
    return;
  }
  if (arguments.recipe.empty()) fail_request("heed plan: RECIPE is missing");
  const recipes::PlanRequest request = request_of(arguments);
  const recipes::Plan made =
      recipes::make_plan(recipes::load_recipe(arguments.recipe, arguments.overrides), request);
  if (arguments.json) return print_json(recipes::to_config(made));
  fmt::print("{}", plan_text(made));
}

std::string machine_names() {
  std::vector<std::string> names;
  for (const auto& machine : recipes::known_machines()) names.push_back(machine.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

void add_plan(CLI::App& heed) {
  auto arguments = std::make_shared<PlanArguments>();
  CLI::App* command = add_command(
      heed, "plan", "predicts memory, traffic and time of a recipe on many ranks", "look closer");
  details(command,
          "Looks at every mesh of N ranks and shows the fastest that fits the machine, what a rank "
          "then holds and sends, the longest sequence and largest batch that would fit, and the "
          "command that runs it. "
          "Nothing is trained and no weight is made: docs/parallelism.md says what is counted.");
  positional(command, "RECIPE", arguments->recipe, "a recipe file (docs/recipes.md)");
  positional(command, "key=value", arguments->overrides,
             "replaces fields of the recipe: model.context=65536");
  option(command, "--gpus", "N", arguments->ranks,
         "ranks, one a GPU (or a core); else as many as the axes of --mesh or the recipe name",
         false)
      ->check(CLI::Range(int64_t{1}, recipes::kMostRanks));
  option(command, "--mesh", "AXES", arguments->mesh,
         "this mesh alone: data=2,pipeline=1,sequence=4,tensor=8; data may be left out; else the "
         "recipe's, if it has an axis beside data, or the best of all",
         false);
  option(command, "--machine", "NAME", arguments->machine,
         "what a rank is: " + machine_names() + ", or a YAML file");
  option(command, "--shard", "LEVEL", arguments->shard,
         "what the data axis shares: none, optimizer, gradients, parameters; else the recipe's or "
         "the least that fits",
         false);
  option(command, "--method", "NAME", arguments->method,
         "how the sequence axis attends: ring, rsa, heads; else the recipe's or the fastest that "
         "fits",
         false);
  option(command, "--checkpointing", "on|off", arguments->checkpointing,
         "whether blocks are recomputed; else as the model says", false);
  option(command, "--micro-batches", "N", arguments->micro_batches,
         "into how many a step is cut for the pipeline; else the fastest that fit", false)
      ->check(CLI::Range(int64_t{1}, int64_t{1000000}));
  command->add_flag("--paper", arguments->paper,
                    "print the tables of the paper on Ring Self-Attention instead, from its own "
                    "formulas");
  command->add_flag("--json", arguments->json, "print one JSON document");
  examples(command,
           {{"heed plan recipes/base/llama-style.yaml --gpus 64", "the best mesh of 64 H100"},
            {"heed plan recipe.yaml --gpus 8 --mesh sequence=8 model.context=131072", ""},
            {"heed plan recipe.yaml --gpus 2 --machine laptop", ""}});
  command->callback([arguments] { plan(*arguments); });
}

}  // namespace heed::tools
