// heed report: the HTML page of one run or several.
#include "recipes/engine/report.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "core/files.h"
#include "tools/command.h"

namespace heed::tools {
namespace {

struct ReportArguments {
  std::vector<std::string> runs;
  std::string out;
};

void report(const ReportArguments& arguments) {
  std::string out = arguments.out;
  if (out.empty()) {
    out = arguments.runs.size() == 1
              ? (std::filesystem::path(arguments.runs.front()) / "report.html").string()
              : "report.html";
  }
  write_file_atomically(out, recipes::report_page(arguments.runs));
  fmt::print("{}\n", out);
}

}  // namespace

void add_report(CLI::App& heed) {
  auto arguments = std::make_shared<ReportArguments>();
  CLI::App* command = add_command(
      heed, "report", "makes one HTML page of a run, or of several side by side", "look closer");
  details(command,
          "The page holds its plots, samples and recipes and needs no network. A run that was "
          "stopped or still goes on is shown as far as it got.");
  positional(command, "RUN", arguments->runs, "folders of runs, or one of `heed compare`")
      ->required();
  option(command, "--out", "FILE", arguments->out,
         "the page [default: RUN/report.html; report.html for several runs]", false);
  examples(command, {{"heed report runs/quickstart", ""},
                     {"heed report runs/a runs/b --out compared.html", ""}});
  command->callback([arguments] { report(*arguments); });
}

}  // namespace heed::tools
