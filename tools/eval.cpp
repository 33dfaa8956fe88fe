// heed eval: held-out metrics of a trained model.
#include <fmt/format.h>

#include <memory>

#include "core/readable.h"
#include "distributed/world.h"
#include "recipes/engine/evaluate.h"
#include "tools/command.h"
#include "tools/metrics.h"
#include "tools/progress.h"

namespace heed::tools {
namespace {

struct EvalArguments {
  std::string run;
  std::vector<std::string> overrides;
  bool json = false;
};

void eval(const EvalArguments& arguments) {
  const bool first = launch().rank == 0;
  Progress progress(stderr);
  const recipes::Evaluation evaluation = recipes::evaluate(
      arguments.run, arguments.overrides,
      [&](int64_t done, int64_t total) {
        if (first && progress.on_terminal()) progress.update("eval", done, total, "");
      },
      [&](const std::string& message) {
        if (first) print_warning(message);
      });
  progress.clear();
  if (!first) return;
  if (arguments.json) {
    Config document = Config::map();
    document.set("checkpoint", evaluation.checkpoint);
    document.set("step", evaluation.step);
    document.set("metrics", metrics_config(evaluation.metrics));
    document.set("baselines", metrics_config(evaluation.baselines));
    document.set("seconds", evaluation.seconds);
    print_json(document);
    return;
  }
  fmt::print("{} (step {}), in {}\n{}", evaluation.checkpoint, grouped(evaluation.step),
             duration_text(evaluation.seconds),
             comparison_table(evaluation.metrics, evaluation.baselines));
}

}  // namespace

void add_eval(CLI::App& heed) {
  auto arguments = std::make_shared<EvalArguments>();
  CLI::App* command =
      add_command(heed, "eval", "measures a trained model on held-out data", "train and use");
  positional(command, "RUN", arguments->run,
             "a run's folder (its latest good checkpoint) or a checkpoint's folder")
      ->required();
  positional(command, "key=value", arguments->overrides,
             "replaces fields of the run's recipe: evaluation.max_batches=20");
  command->add_flag("--json", arguments->json, "print one JSON document");
  examples(command, {{"heed eval runs/quickstart", ""},
                     {"heed eval runs/quickstart/checkpoints/step-00000500 --json", ""}});
  command->callback([arguments] { eval(*arguments); });
}

}  // namespace heed::tools
