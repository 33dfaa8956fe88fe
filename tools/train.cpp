// heed train: a recipe becomes a trained model.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "core/readable.h"
#include "recipes/engine/trainer.h"
#include "tools/command.h"
#include "tools/metrics.h"
#include "tools/progress.h"

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

/// Shows a run as it goes; silent under --json but for warnings.
class TrainPrinter : public recipes::TrainObserver {
 public:
  explicit TrainPrinter(bool silent) : silent_(silent), progress_(stdout) {}

  void on_start(const recipes::StartReport& start) override {
    start_ = start;
    if (silent_) return;
    progress_.line(fmt::format("{}: {} parameters, {} steps of {} {}, {} on {} {}", start.name,
                               grouped(start.parameters), grouped(start.steps),
                               grouped(start.items_per_step), start.item_name, start.precision,
                               start.threads, start.threads == 1 ? "thread" : "threads"));
    progress_.line("data  " + start.data);
    progress_.line("run   " + start.run_dir);
    if (!start.resumed_from.empty()) {
      progress_.line(
          fmt::format("going on from {} (step {})", start.resumed_from, grouped(start.first_step)));
    }
  }

  void on_step(const recipes::StepReport& step) override {
    const bool first = step.step == start_.first_step + 1;
    if (first) first_step_seconds_ = seconds_since_start();
    if (silent_) return;
    std::string text = fmt::format("loss {:.3f}  lr {:.2g}  {} {}/s", step.loss, step.learning_rate,
                                   compact(step.items_per_second), start_.item_name);
    if (first) {
      text += fmt::format("  (first step {} after the start)", duration_text(first_step_seconds_));
    } else if (step.step < step.steps) {
      text += fmt::format("  {} left", duration_text(step.seconds_left));
    }
    progress_.update("step", step.step, step.steps, text);
  }

  void on_baselines(const recipes::Metrics& metrics) override {
    if (silent_) return;
    progress_.line("baselines");
    fmt::print("{}", comparison_table({}, metrics));
  }

  void on_eval_progress(int64_t done, int64_t total) override {
    if (!silent_ && progress_.on_terminal()) progress_.update("eval", done, total, "");
  }

  void on_eval(const recipes::EvalReport& eval) override {
    if (silent_) return;
    progress_.line(fmt::format("eval {:>7}  {}{}", grouped(eval.step), metrics_text(eval.metrics),
                               eval.best ? "  (best so far)" : ""));
  }

  void on_checkpoint(int64_t step, const std::string& folder) override {
    if (!silent_ && !progress_.on_terminal()) {
      progress_.line(fmt::format("saved {:>6}  {}", grouped(step), folder));
    }
  }

  void on_sample(const recipes::SampleReport& sample) override {
    if (silent_) return;
    progress_.line(fmt::format("sample {:>5}", grouped(sample.step)));
    const std::string text = sample.prompt + sample.text;
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      progress_.line("  | " + text.substr(begin, end - begin));
      begin = end + 1;
    }
  }

  void on_warning(const std::string& message) override {
    progress_.clear();
    print_warning(message);
  }

  void on_end(const recipes::EndReport& end) override {
    if (silent_ || end.interrupted) return;
    progress_.line(
        fmt::format("done: {} steps in {}", grouped(end.step), duration_text(end.seconds)));
    fmt::print("{}", comparison_table(end.metrics, end.baselines));
    if (!end.best.empty() && end.best_step != end.step) {
      fmt::print("  best at step {}: {}\n", grouped(end.best_step), metrics_text(end.best));
    }
    fmt::print("saved in {0}\nnext: heed report {1}, heed generate {1}, heed export {1} FOLDER\n",
               end.checkpoint, end.run_dir);
  }

  double first_step_seconds() const { return first_step_seconds_; }

 private:
  bool silent_;
  Progress progress_;
  recipes::StartReport start_;
  double first_step_seconds_ = 0.0;
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
  if (arguments.resume && arguments.force) {
    fail_request("train: --resume goes on with a run and --force starts it anew; give one of them");
  }
  recipes::TrainRequest request;
  request.recipe = recipes::load_recipe(arguments.recipe, arguments.overrides);
  request.run_dir = arguments.out;
  request.resume = arguments.resume;
  request.handle_signals = true;
  if (const std::string folder = recipes::run_folder(request);
      arguments.force && fs::is_directory(folder)) {
    recipes::make_task(request.recipe);  // a wrong recipe must not cost the earlier run
    remove_run(folder);
  }
  TrainPrinter printer(arguments.json);
  const recipes::EndReport end = recipes::train(request, printer);
  if (arguments.json) {
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
  HEED_CHECK(!end.interrupted,
             "interrupted at step {}; {} is saved, and the same command with --resume goes on",
             end.step, end.checkpoint);
}

}  // namespace

void add_train(CLI::App& heed) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* command = add_command(heed, "train", "trains a model from a recipe", "train and use");
  details(command,
          "The run's folder receives the resolved recipe, metrics.jsonl, TensorBoard events and "
          "checkpoints. Nothing is written when the recipe is wrong. Ctrl-C finishes the step and "
          "saves a checkpoint first.");
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
            {"heed train recipes/base/shakespeare-char.yaml --resume", "after a stop or a crash"}});
  command->callback([arguments] { train(*arguments); });
}

}  // namespace heed::tools
