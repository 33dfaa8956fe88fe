// heed bench: how fast a recipe trains, and attention patterns run.
//
// The trainer itself runs the steps, in a temporary folder, so that data loading, clipping, the
// optimiser and logging are part of what is measured.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <optional>

#include "core/allocator.h"
#include "core/files.h"
#include "core/parallel.h"
#include "core/readable.h"
#include "distributed/world.h"
#include "recipes/engine/describe.h"
#include "recipes/engine/statistics.h"
#include "recipes/engine/trainer.h"
#include "tools/attention_bench.h"
#include "tools/collectives_bench.h"
#include "tools/command.h"
#include "tools/decode_bench.h"
#include "tools/device_bench.h"
#include "tools/device_timing.h"
#include "tools/mechanism_bench.h"
#include "tools/metrics.h"
#include "tools/op_profile.h"
#include "tools/ops_bench.h"
#include "tools/progress.h"
#include "tools/temporary_folder.h"
#include "tools/text.h"
#include "tools/tokenizer_bench.h"

namespace heed::tools {
namespace {

struct BenchArguments {
  std::string recipe;
  std::vector<std::string> overrides;
  int64_t steps = 30;
  int64_t warmup = 5;
  bool profile = false;
  bool json = false;
};

class StepWatch : public recipes::TrainObserver {
 public:
  StepWatch(const BenchArguments& arguments, Device device)
      : device_(device),
        warmup_(arguments.warmup),
        total_(arguments.warmup + arguments.steps),
        progress_(stderr) {
    if (arguments.profile) profile.emplace(device);
  }

  void on_start(const recipes::StartReport&) override { waited_before_ = seconds_waited(); }
  void on_step(const recipes::StepReport& step) override {
    if (profile) profile->mark("data, clipping, optimizer");
    if (step.step == 1) first_step_seconds = seconds_since_start();
    if (step.step == warmup_) allocator::reset_peak(device_);
    if (step.step > warmup_) {
      milliseconds.push_back(step.step_ms);
      waited_ms.push_back(1e3 * (seconds_waited() - waited_before_));
      peak_bytes = allocator::stats(device_).peak_bytes;
    } else if (profile) {
      profile->reset();
    }
    waited_before_ = seconds_waited();
    if (progress_.on_terminal()) progress_.update("step", step.step, total_, "");
  }
  void on_warning(const std::string& message) override { print_warning(message); }

  std::vector<double> milliseconds;
  std::vector<double> waited_ms;  ///< of a step: for others and for data
  int64_t peak_bytes = 0;
  double first_step_seconds = 0.0;
  std::optional<OpProfile> profile;

 private:
  Device device_;
  int64_t warmup_;
  int64_t total_;
  Progress progress_;
  double waited_before_ = 0.0;
};

// The most memory that the process had at any time (VmHWM).
int64_t peak_process_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}

Config profile_config(const OpProfile& profile, int64_t steps) {
  Config list = Config::list();
  for (const OpProfile::Line& line : profile.lines()) {
    Config entry = Config::map();
    entry.set("op", line.op);
    entry.set("calls", line.calls / steps);
    entry.set("ms", 1e3 * line.seconds / static_cast<double>(steps));
    entry.set("bytes", line.bytes / steps);
    entry.set("flops", line.flops / static_cast<double>(steps));
    list.append(entry);
  }
  return list;
}

std::string profile_text(const OpProfile& profile, int64_t steps) {
  double total = 0.0;
  for (const OpProfile::Line& line : profile.lines()) total += line.seconds;
  Table table({"op", "calls", "ms a step", "share", "MiB", "GiB/s", "GFLOP", "GFLOP/s"},
              {1, 2, 3, 4, 5, 6, 7});
  // Rates of what takes no time to speak of say nothing.
  const auto rate = [](double amount, double seconds) {
    return amount == 0.0 || seconds < 1e-6 ? "" : fmt::format("{:.1f}", amount / seconds);
  };
  for (const OpProfile::Line& line : profile.lines()) {
    const double per_step = 1.0 / static_cast<double>(steps);
    const double mib = std::ldexp(static_cast<double>(line.bytes), -20);
    table.row({line.op, fmt::format("{}", line.calls / steps),
               fmt::format("{:.3f}", 1e3 * line.seconds * per_step),
               fmt::format("{:.1f}%", 100.0 * line.seconds / total),
               line.bytes == 0 ? "" : fmt::format("{:.1f}", mib * per_step),
               rate(std::ldexp(mib, -10), line.seconds),
               line.flops == 0.0 ? "" : fmt::format("{:.3f}", 1e-9 * line.flops * per_step),
               rate(1e-9 * line.flops, line.seconds)});
  }
  return table.to_string();
}

void bench_step(const BenchArguments& arguments) {
  recipes::Recipe recipe;
  recipes::Description description;
  agree(world(), [&] {
    recipe = recipes::load_recipe(arguments.recipe, arguments.overrides);
    description = recipes::describe(recipe);
  });
  // Not the recipe's own number of steps where that is larger: the schedule depends on it.
  recipe.train.steps = std::max(recipe.train.steps, arguments.warmup + arguments.steps);
  recipe.train.eval_every = recipe.train.checkpoint_every = recipe.samples.every = 0;
  const Device device = device_of_rank(recipe.device);
  allocator::reset_peak(device);

  const TemporaryFolder folder;
  StepWatch watch(arguments, device);
  recipes::train({.recipe = recipe,
                  .run_dir = folder.file("run"),
                  .only_steps = arguments.warmup + arguments.steps},
                 watch);

  if (world().rank() != 0) return;
  using recipes::quantile;
  const int ranks = world().size();
  const double median = quantile(watch.milliseconds, 0.5);
  const double waited = quantile(watch.waited_ms, 0.5);
  const double per_second = 1e3 / median;
  const double gflops = description.flops_per_step * per_second * 1e-9;
  const double items = static_cast<double>(description.items_per_step) * per_second;
  if (arguments.json) {
    Config milliseconds = Config::map();
    milliseconds.set("median", median);
    milliseconds.set("p10", quantile(watch.milliseconds, 0.1));
    milliseconds.set("p90", quantile(watch.milliseconds, 0.9));
    Config document = Config::map();
    document.set("recipe", description.name);
    document.set("device", device.to_string());
    document.set("precision", recipe.train.precision);
    document.set("ranks", ranks);
    document.set("threads", thread_count());
    document.set("parameters", description.parameters);
    document.set("items_per_step", description.items_per_step);
    document.set("item", description.item_name);
    document.set("warmup", arguments.warmup);
    document.set("steps", arguments.steps);
    document.set("step_ms", milliseconds);
    document.set("waited_ms", waited);
    document.set("items_per_second", items);
    document.set("flops_per_step", description.flops_per_step);
    document.set("gflops", gflops);
    document.set("peak_tensor_bytes", watch.peak_bytes);
    document.set("peak_process_bytes", peak_process_bytes());
    document.set("first_step_seconds", watch.first_step_seconds);
    if (watch.profile) document.set("ops", profile_config(*watch.profile, arguments.steps));
    return print_json(document);
  }
  fmt::print("{}: {} parameters, {} {} a step, {} on {}{}\n", description.name,
             grouped(description.parameters), grouped(description.items_per_step),
             description.item_name, recipe.train.precision,
             ranks == 1 ? "" : fmt::format("{} ranks of ", ranks), place_text(device));
  Table table;
  table.row({"step", fmt::format("{:.2f} ms (median of {}; a tenth under {:.2f}, a tenth over "
                                 "{:.2f})",
                                 median, arguments.steps, quantile(watch.milliseconds, 0.1),
                                 quantile(watch.milliseconds, 0.9))});
  if (ranks > 1) {
    table.row({"waiting", fmt::format("{:.2f} ms of it, for other ranks ({:.1f}%)", waited,
                                      100.0 * waited / median)});
  }
  table.row({"throughput", fmt::format("{} {}/s", compact(items), description.item_name)});
  table.row({"arithmetic", fmt::format("{:.1f} GFLOP/s ({:.4g} GFLOP a step)", gflops,
                                       1e-9 * description.flops_per_step)});
  table.row({"peak memory",
             fmt::format("{} of tensors, {} of the process{}", format_bytes(watch.peak_bytes),
                         format_bytes(peak_process_bytes()), ranks > 1 ? " (rank 0)" : "")});
  fmt::print("{}", table.to_string());
  if (watch.profile) fmt::print("\n{}", profile_text(*watch.profile, arguments.steps));
}

}  // namespace

void add_bench(CLI::App& heed) {
  CLI::App* bench = add_command(heed, "bench", "measures speed", "look closer");
  bench->require_subcommand(1);
  examples(bench, {{"heed bench step recipes/base/shakespeare-char.yaml", ""},
                   {"mpirun -np 4 heed bench collectives", ""}});

  auto arguments = std::make_shared<BenchArguments>();
  CLI::App* command = add_command(
      *bench, "step", "measures a recipe's training step: time, throughput, arithmetic, memory");
  details(command,
          "Trains the recipe for a few steps in a temporary folder and reports the median step, "
          "data loading and optimiser included; on a device too, whose work a step waits for. With "
          "--profile every op is waited for, so that such a step takes longer. Under mpirun the "
          "ranks share it as in training; "
          "what is shown is rank 0's, with the time that it waited for others.");
  positional(command, "RECIPE", arguments->recipe, "a recipe file (docs/recipes.md)")->required();
  positional(command, "key=value", arguments->overrides,
             "replaces fields of the recipe: train.precision=bf16");
  option(command, "--steps", "N", arguments->steps, "steps to measure")
      ->check(CLI::Range(int64_t{1}, int64_t{1000000}));
  option(command, "--warmup", "N", arguments->warmup, "steps before them")
      ->check(CLI::Range(int64_t{1}, int64_t{1000000}));
  command->add_flag("--profile", arguments->profile,
                    "also show time, memory traffic and arithmetic of every op");
  command->add_flag("--json", arguments->json, "print one JSON document");
  examples(
      command,
      {{"heed bench step recipes/base/shakespeare-char.yaml", ""},
       {"heed bench step recipes/base/shakespeare-small.yaml train.precision=bf16 --profile", ""},
       {"heed bench step recipes/base/shakespeare-small.yaml device=cuda", ""},
       {"mpirun -np 2 heed bench step recipes/base/shakespeare-char.yaml parallel.sequence=2",
        ""}});
  command->callback([arguments] { bench_step(*arguments); });
  add_bench_decode(*bench);
  add_bench_attention(*bench);
  add_bench_mechanism(*bench);
  add_bench_collectives(*bench);
  add_bench_device(*bench);
  add_bench_ops(*bench);
  add_bench_tokenizer(*bench);
}

}  // namespace heed::tools
