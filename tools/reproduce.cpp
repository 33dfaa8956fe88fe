// heed reproduce: a paper's central result as a small experiment, and its verdict.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "core/config.h"
#include "core/files.h"
#include "core/readable.h"
#include "recipes/engine/claim_runner.h"
#include "recipes/engine/report/claim_page.h"
#include "tools/command.h"
#include "tools/install_paths.h"
#include "tools/revision.h"
#include "tools/runs_printer.h"
#include "tools/text.h"
#include "tools/train_printer.h"

namespace heed::tools {
namespace {

namespace fs = std::filesystem;

struct ReproduceArguments {
  std::string slug;
  std::string size = "mini";
  std::string out;
  int64_t jobs = 0;
  int64_t seeds = 0;
  std::string only;
  bool force = false;
  bool json = false;
};

class ReproducePrinter : public RunsPrinter {
 public:
  using RunsPrinter::RunsPrinter;

 private:
  void introduce(const recipes::ClaimPlan& plan) override {
    progress_.line(fmt::format("{} ({}): {}", plan.claim.slug, plan.size, plan.claim.title));
    progress_.line(
        fmt::format("claim  {}, sha256 {}", plan.claim.file, plan.claim.sha256.substr(0, 16)));
    progress_.line(fmt::format("runs   {}: {} arms, {} {} each, in {}", plan.runs.size(),
                               plan.claim.arms.size(), plan.seeds,
                               plan.seeds == 1 ? "seed" : "seeds", plan.out));
  }
};

std::string arms_table(const recipes::ClaimResult& result) {
  std::vector<std::string> header = {"", ""};
  std::vector<int> right;
  for (const recipes::ClaimPoint& point : result.plan.points) {
    right.push_back(static_cast<int>(header.size()));
    header.push_back(fmt::format("{} at {}", result.plan.claim.metric.name, point.name));
  }
  Table table(header, right);
  for (const recipes::ClaimArm& arm : result.plan.claim.arms) {
    std::vector<std::string> cells = {arm.name, arm.role};
    for (const recipes::ClaimPoint& point : result.plan.points) {
      const recipes::Spread spread = recipes::spread_of(result.values(arm.name, point.name));
      cells.push_back(spread.count == 0 ? "" : number_text(spread.mean));
      if (spread.count > 1) cells.back() += " ± " + number_text(spread.deviation);
    }
    table.row(cells);
  }
  return table.to_string();
}

void print_result(const recipes::ClaimResult& result, const std::string& page) {
  fmt::print("{}", arms_table(result));
  for (const recipes::RelationOutcome& outcome : result.relations) {
    fmt::print("  {:<12}  {}\n", recipes::verdict_name(outcome.verdict),
               recipes::relation_text(outcome.relation));
    fmt::print("                improvement {}, 95% interval {} to {}{}\n",
               number_text(outcome.effect.value), number_text(outcome.effect.low),
               number_text(outcome.effect.high),
               outcome.reason.empty() ? "" : ": " + outcome.reason);
  }
  fmt::print("verdict: {}{}\nreport: {}\n", recipes::verdict_name(result.verdict),
             result.plan.size == "smoke"
                 ? " (smoke size: shows that the experiment runs, nothing about the paper)"
                 : "",
             page);
}

/// The command that gives these results again, without places of this machine; with the jobs that
/// were asked for where arms are benchmarks, whose threads depend on them.
std::string neutral_command(const recipes::ClaimPlan& plan, int64_t jobs) {
  const bool times = std::any_of(plan.runs.begin(), plan.runs.end(),
                                 [](const recipes::ClaimRun& run) { return run.recipe.empty(); });
  return fmt::format("heed reproduce {} --size {} --seeds {}{}", plan.claim.slug, plan.size,
                     plan.seeds, times && jobs > 0 ? fmt::format(" --jobs {}", jobs) : "");
}

std::vector<std::string> run_command(const recipes::ClaimPlan& plan, const recipes::ClaimRun& run) {
  return {fs::read_symlink("/proc/self/exe").string(),
          "reproduce",
          plan.claim.file,
          "--size",
          plan.size,
          "--out",
          plan.out,
          "--seeds",
          fmt::format("{}", plan.seeds),
          "--only",
          run.label()};
}

/// One run of the plan, here: what the processes of a claim do, and those of a cluster may.
void reproduce_one(const recipes::ClaimPlan& plan, const std::string& label) {
  std::vector<std::string> labels;
  for (const recipes::ClaimRun& run : plan.runs) {
    labels.push_back(run.label());
    if (labels.back() != label) continue;
    TrainPrinter printer(false);
    const recipes::ClaimRunResult result = recipes::execute_run(plan, run, printer, true);
    fmt::print("{}  {}\n", label, value_text(plan, result));
    return;
  }
  fail_request("reproduce: there is no run '{}'{}; the runs are {}", label,
               did_you_mean(label, labels), fmt::join(labels, ", "));
}

void reproduce(const ReproduceArguments& arguments) {
  if (arguments.jobs < 0 || arguments.seeds < 0) {
    fail_request("reproduce: --jobs and --seeds need numbers above 0");
  }
  const recipes::Claim claim =
      recipes::load_claim(find_in_recipes(arguments.slug, "claim.yaml", claim_files(), "claim"));
  recipes::ClaimPlan plan =
      recipes::plan_claim(claim, arguments.size, arguments.out, arguments.seeds);
  plan.bench = bench_metrics;
  if (!arguments.only.empty()) return reproduce_one(plan, arguments.only);
  if (arguments.force) recipes::remove_claim(plan);

  recipes::ClaimRunnerOptions options;
  options.jobs = arguments.jobs;
  options.handle_signals = true;
  options.command = [&](const recipes::ClaimRun& run) { return run_command(plan, run); };
  ReproducePrinter printer(arguments.json);
  const recipes::ClaimResult result = recipes::run_claim(plan, options, printer);

  const std::string command = neutral_command(plan, arguments.jobs);
  const std::string version = fmt::format("{} ({})", HEED_VERSION, revision());
  const Config document = recipes::to_config(result, command, version);
  const fs::path out(plan.out);
  const std::string page = (out / "claim.html").string();
  write_file_atomically((out / "claim.result.json").string(), document.to_json(2) + "\n");
  write_file_atomically(page, recipes::claim_page(result, command, version));
  const std::string plot = recipes::claim_plot(result);
  if (!plot.empty()) write_file_atomically((out / "claim.svg").string(), plot);
  arguments.json ? print_json(document) : print_result(result, page);
  HEED_CHECK(result.failures() == 0, "{} of {} runs failed; the same command tries them again",
             result.failures(), result.runs.size());
}

}  // namespace

void add_reproduce(CLI::App& heed) {
  auto arguments = std::make_shared<ReproduceArguments>();
  CLI::App* command = add_command(
      heed, "reproduce", "re-runs a paper's central result and gives the verdict", "train and use");
  details(command,
          "Trains every arm of the claim with every seed, several at a time, measures them and "
          "judges the relation that the claim fixed beforehand: confirmed, refuted or inconclusive "
          "(docs/claims.md). The folder receives the runs, claim.result.json, claim.html and "
          "claim.svg. "
          "Stopped or killed, the same command goes on where it was. The exit status is 0 whatever "
          "the verdict, 1 when a run failed.");
  positional(command, "CLAIM", arguments->slug,
             "a claim's name (`heed list claims`), or the path of its claim.yaml")
      ->required();
  option(command, "--size", "SIZE", arguments->size, "smoke (seconds), mini (minutes) or paper");
  option(command, "--out", "DIR", arguments->out, "folder of the runs [default: runs/CLAIM-SIZE]",
         false);
  option(command, "--jobs", "N", arguments->jobs,
         "runs at a time; they share the cores [default: one run a core]", false);
  option(command, "--seeds", "N", arguments->seeds, "runs of each arm [default: the claim's]",
         false);
  option(command, "--only", "ARM:SEED", arguments->only,
         "train and measure this run alone, for a later command without --only to find", false);
  command->add_flag("--force", arguments->force,
                    "start anew where the folder has the claim's runs");
  command->add_flag("--json", arguments->json,
                    "print claim.result.json at the end and nothing before");
  examples(command, {{"heed reproduce claim-example", ""},
                     {"heed reproduce claim-example --size smoke --out /tmp/claim", ""},
                     {"heed reproduce claim-example --only alibi:2", "one run of it"}});
  command->callback([arguments] { reproduce(*arguments); });
}

}  // namespace heed::tools
