// heed compare: several settings of a model side by side.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "core/files.h"
#include "recipes/engine/comparison_result.h"
#include "recipes/engine/report/comparison_page.h"
#include "tools/command.h"
#include "tools/install_paths.h"
#include "tools/revision.h"
#include "tools/runs_printer.h"
#include "tools/text.h"
#include "tools/train_printer.h"

namespace heed::tools {
namespace {

namespace fs = std::filesystem;

struct CompareArguments {
  std::string name;
  std::string out;
  std::vector<std::string> tests, arms;
  int64_t jobs = 0;
  int64_t seeds = 0;
  std::string only;
  bool force = false;
  bool json = false;
};

class ComparePrinter : public RunsPrinter {
 public:
  using RunsPrinter::RunsPrinter;

 private:
  void introduce(const recipes::ClaimPlan& plan) override {
    progress_.line(fmt::format("{}, {} runs in {}", plan.claim.title, plan.runs.size(), plan.out));
  }
};

std::string table_of(const Config& document) {
  std::vector<std::string> header = {""};
  std::vector<std::vector<std::string>> rows;
  std::vector<int> right;
  for (const Config& arm : document.at("arms").as_list())
    rows.push_back({arm.at("name").as_string()});
  for (const Config& test : document.at("tests").as_list()) {
    const std::string name = test.at("name").as_string();
    for (const Config& column : test.at("columns").as_list()) {
      right.push_back(static_cast<int>(header.size()));
      header.push_back(name + " " + column.at("metric").as_string());
      const auto cells = recipes::column_cells(document, name, column);
      for (size_t a = 0; a < cells.size(); ++a) {
        const std::string text = recipes::cell_text(cells[a], column);
        rows[a].push_back(cells[a].best ? text + " *" : text);
      }
    }
  }
  Table table(header, right);
  for (std::vector<std::string>& row : rows) table.row(std::move(row));
  return table.to_string() + "  * the column's best\n";
}

/// The arguments that narrow the comparison, for the record.
std::vector<std::string> narrowed(const CompareArguments& arguments) {
  std::vector<std::string> words;
  for (const auto& [flag, names] :
       {std::pair{"--tests", &arguments.tests}, std::pair{"--arms", &arguments.arms}}) {
    if (names->empty()) continue;
    words.push_back(flag);
    words.push_back(fmt::format("{}", fmt::join(*names, ",")));
  }
  return words;
}

/// One run, "text:softmax:1", here: what the processes of a comparison do.
void compare_one(const recipes::ComparisonPlan& plan, const std::string& label) {
  std::vector<std::string> labels;
  for (size_t t = 0; t < plan.tests.size(); ++t) {
    for (const recipes::ClaimRun& run : plan.tests[t].runs) {
      labels.push_back(plan.comparison.tests[t].name + ":" + run.label());
      if (labels.back() != label) continue;
      TrainPrinter printer(false);
      const auto result = recipes::execute_run(plan.tests[t], run, printer, true);
      fmt::print("{}  {}\n", label, value_text(plan.tests[t], result));
      return;
    }
  }
  fail_request("compare: there is no run '{}'{}; the runs are {}", label,
               did_you_mean(label, labels), fmt::join(labels, ", "));
}

recipes::ClaimResult run_test(const recipes::ComparisonPlan& plan, size_t t,
                              const CompareArguments& arguments) {
  const recipes::ComparisonTest& test = plan.comparison.tests[t];
  recipes::ClaimRunnerOptions options;
  // A benchmark has the machine to itself.
  options.jobs = test.bench.empty() ? arguments.jobs : 1;
  options.handle_signals = true;
  options.command = [&](const recipes::ClaimRun& run) {
    std::vector<std::string> command = {fs::read_symlink("/proc/self/exe").string(),
                                        "compare",
                                        plan.comparison.file,
                                        "--out",
                                        plan.out,
                                        "--seeds",
                                        fmt::format("{}", plan.seeds),
                                        "--tests",
                                        test.name,
                                        "--arms",
                                        run.arm,
                                        "--only",
                                        test.name + ":" + run.label()};
    return command;
  };
  ComparePrinter printer(arguments.json);
  return recipes::run_claim(plan.tests[t], options, printer);
}

void compare(const CompareArguments& arguments) {
  if (arguments.jobs < 0 || arguments.seeds < 0)
    fail_request("compare: --jobs and --seeds need numbers above 0");
  const recipes::Comparison whole = recipes::load_comparison(
      find_in_recipes(arguments.name, "compare.yaml", comparison_files(), "comparison"));
  recipes::ComparisonPlan plan = recipes::plan_comparison(
      whole.only(arguments.tests, arguments.arms), arguments.out, arguments.seeds);
  for (recipes::ClaimPlan& test : plan.tests) test.bench = bench_metrics;
  if (!arguments.only.empty()) return compare_one(plan, arguments.only);

  recipes::ComparisonResult result{plan, {}};
  for (size_t t = 0; t < plan.tests.size(); ++t) {
    if (arguments.force) recipes::remove_claim(plan.tests[t]);
    result.tests.push_back(run_test(plan, t, arguments));
  }
  std::vector<std::string> words = {"heed compare", plan.comparison.slug, "--seeds",
                                    fmt::format("{}", plan.seeds)};
  for (const std::string& word : narrowed(arguments)) words.push_back(word);
  const Config document = recipes::to_config(result, fmt::format("{}", fmt::join(words, " ")),
                                             fmt::format("{} ({})", HEED_VERSION, revision()));
  const fs::path out(plan.out);
  const std::string page = (out / "compare.html").string();
  write_file_atomically((out / "compare.result.json").string(), document.to_json(2) + "\n");
  write_file_atomically((out / "compare.md").string(), recipes::comparison_markdown(document));
  write_file_atomically(page, recipes::comparison_page(document, plan.out));
  if (arguments.json) {
    print_json(document);
  } else {
    fmt::print("{}report: {}\n", table_of(document), page);
  }
  HEED_CHECK(result.failures() == 0, "{} runs failed; the same command tries them again",
             result.failures());
}

}  // namespace

void add_compare(CLI::App& heed) {
  auto arguments = std::make_shared<CompareArguments>();
  CLI::App* command =
      add_command(heed, "compare", "puts settings of a model side by side: quality, time, memory",
                  "train and use");
  details(command,
          "Runs every test of the comparison with every arm (docs/claims.md): trainings several "
          "at a time, benchmarks one after the other. The folder receives the runs, "
          "compare.result.json, compare.html and compare.md. Stopped or killed, the same command "
          "goes on where it was.");
  positional(command, "COMPARISON", arguments->name,
             "its name (`heed list comparisons`), or the path of its compare.yaml")
      ->required();
  option(command, "--out", "DIR", arguments->out, "folder of the runs [default: runs/COMPARISON]",
         false);
  option(command, "--tests", "A,B", arguments->tests, "these tests alone", false)->delimiter(',');
  option(command, "--arms", "A,B", arguments->arms, "these arms alone", false)->delimiter(',');
  option(command, "--jobs", "N", arguments->jobs,
         "trainings at a time; they share the cores [default: one a core]", false);
  option(command, "--seeds", "N", arguments->seeds, "runs of each arm [default: the file's]",
         false);
  option(command, "--only", "TEST:ARM:SEED", arguments->only,
         "do this run alone, for a later command without --only to find", false);
  command->add_flag("--force", arguments->force,
                    "start anew where the folder has the comparison's runs");
  command->add_flag("--json", arguments->json,
                    "print compare.result.json at the end and nothing before");
  examples(command, {{"heed compare lm-compare", ""},
                     {"heed compare lm-compare --tests recall --arms softmax,window --seeds 3", ""},
                     {"heed report runs/lm-compare", "the page again"}});
  command->callback([arguments] { compare(*arguments); });
}

}  // namespace heed::tools
