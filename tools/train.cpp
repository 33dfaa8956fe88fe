// heed train: a recipe becomes a trained model.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "distributed/world.h"
#include "recipes/engine/trainer.h"
#include "tools/command.h"
#include "tools/metrics.h"
#include "tools/train_printer.h"

namespace heed::tools {
namespace {

namespace fs = std::filesystem;

struct TrainArguments {
  std::string recipe;
  std::vector<std::string> overrides;
  std::string out;
  bool resume = false;
  bool force = false;
  bool json = false;
};

// What a run folder holds; nothing else is ever removed.
void remove_run(const std::string& folder) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name == "recipe.yaml" || name == "metrics.jsonl" || name == "checkpoints" ||
        name == "report.html" || name.starts_with("events.out.tfevents.")) {
      fs::remove_all(entry.path());
    }
  }
}

void train(const TrainArguments& arguments) {
  recipes::TrainRequest request;
  agree(world(), [&] {
    if (arguments.resume && arguments.force) {
      fail_request(
          "train: --resume goes on with a run and --force starts it anew; give one of them");
    }
    request.recipe = recipes::load_recipe(arguments.recipe, arguments.overrides);
  });
  request.run_dir = arguments.out;
  request.resume = arguments.resume;
  request.handle_signals = true;
  agree(world(), [&] {
    const std::string folder = recipes::run_folder(request);
    if (world().rank() != 0 || !arguments.force || !fs::is_directory(folder)) return;
    recipes::make_task(request.recipe);  // a wrong recipe must not cost the earlier run
    remove_run(folder);
  });
  TrainPrinter printer(arguments.json);
  const recipes::EndReport end = recipes::train(request, printer);
  if (arguments.json && world().rank() == 0) {
    Config document = Config::map();
    document.set("run", end.run_dir);
    document.set("checkpoint", end.checkpoint);
    document.set("step", end.step);
    document.set("interrupted", end.interrupted);
    document.set("seconds", end.seconds);
    document.set("first_step_seconds", printer.first_step_seconds());
    document.set("metrics", metrics_config(end.metrics));
    document.set("best", metrics_config(end.best));
    document.set("best_step", end.best_step);
    document.set("baselines", metrics_config(end.baselines));
    print_json(document);
  }
  if (end.interrupted) {
    throw AgreedError(fmt::format(
        "interrupted at step {}; {} is saved, and the same command with --resume goes on", end.step,
        end.checkpoint));
  }
}

}  // namespace

void add_train(CLI::App& heed) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* command = add_command(heed, "train", "trains a model from a recipe", "train and use");
  details(
      command,
      "The run's folder receives the resolved recipe, metrics.jsonl, TensorBoard events and "
      "checkpoints. Nothing is written when the recipe is wrong. Ctrl-C finishes the step and "
      "saves a checkpoint first. Under mpirun the ranks share each batch (docs/parallelism.md).");
  positional(command, "RECIPE", arguments->recipe, "a recipe file (docs/recipes.md)")->required();
  positional(command, "key=value", arguments->overrides,
             "replaces fields of the recipe: train.steps=500 'data.files=[a.txt, b.txt]'");
  option(command, "--out", "DIR", arguments->out,
         "folder of the run [default: runs/<name of the recipe>]", false);
  command->add_flag("--resume", arguments->resume,
                    "go on from the run's last good checkpoint, bit for bit as if never stopped");
  command->add_flag("--force", arguments->force, "replace a run that is in the folder already");
  command->add_flag("--json", arguments->json,
                    "print one JSON document at the end and nothing before");
  examples(command,
           {{"heed train recipes/base/quickstart.yaml", ""},
            {"heed train recipes/base/shakespeare-char.yaml train.steps=500 --out /tmp/run", ""},
            {"heed train recipes/base/shakespeare-char.yaml --resume", "after a stop or a crash"},
            {"mpirun -np 4 heed train recipes/base/shakespeare-char.yaml", "on four ranks"}});
  command->callback([arguments] { train(*arguments); });
}

}  // namespace heed::tools
