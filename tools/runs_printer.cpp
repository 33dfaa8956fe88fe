#include "tools/runs_printer.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "core/files.h"
#include "core/readable.h"
#include "recipes/engine/child_process.h"
#include "tools/metrics.h"
#include "tools/temporary_folder.h"

namespace heed::tools {
namespace {

void add_numbers(const Config& map, const std::string& prefix, recipes::Metrics& metrics) {
  for (const auto& [key, value] : map.as_map()) {
    if (value.is_number() || value.is_integer()) {
      metrics.emplace_back(prefix + key, value.as_number());
    } else if (value.is_map()) {
      add_numbers(value, prefix + key + ".", metrics);
    }
  }
}

}  // namespace

std::string value_text(const recipes::ClaimPlan& plan, const recipes::ClaimRunResult& result) {
  std::string text = plan.claim.metric.name;
  for (const recipes::ClaimPoint& point : plan.points) {
    const std::string value = number_text(result.value(plan.claim.metric.name, point.name));
    text += plan.points.size() == 1 ? "  " + value : fmt::format("  {} {}", point.name, value);
  }
  return text;
}

void RunsPrinter::on_start(const recipes::ClaimPlan& plan, int64_t finished) {
  plan_ = plan;
  if (silent_) return;
  introduce(plan);
  if (finished > 0) progress_.line(fmt::format("going on: {} are finished", finished));
}

void RunsPrinter::on_progress(const recipes::ClaimProgress& progress) {
  if (silent_) return;
  std::string text = fmt::format("{} of {} runs", progress.finished, progress.runs);
  if (progress.failed > 0) text += fmt::format(", {} failed", progress.failed);
  for (const std::string& run : progress.current) text += "  " + run;
  progress_.update("steps", progress.steps_done, progress.steps, text);
}

void RunsPrinter::on_run(const recipes::ClaimRunOutcome& outcome, bool found) {
  if (silent_) return;
  if (!outcome.result) {
    progress_.line(fmt::format("failed {}: {}", outcome.run.label(), outcome.error));
    return;
  }
  progress_.line(fmt::format("{}  {:<16}  {}  ({})", found ? "found" : "done ", outcome.run.label(),
                             value_text(plan_, *outcome.result),
                             duration_text(outcome.result->seconds)));
}

void RunsPrinter::on_warning(const std::string& message) {
  progress_.clear();
  print_warning(message);
}

recipes::Metrics bench_metrics(const std::vector<std::string>& arguments) {
  const TemporaryFolder folder;
  std::vector<std::string> command = {std::filesystem::read_symlink("/proc/self/exe").string(),
                                      "bench"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  command.push_back("--json");
  const std::string output = folder.file("output");
  recipes::ChildProcess process(command, {}, output);
  while (!process.ended()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const std::string text = read_file(output);
  HEED_CHECK(process.status() == 0, "bench {} ended with status {}: {}", fmt::join(arguments, " "),
             process.status(), text);
  recipes::Metrics metrics;
  add_numbers(parse_json(text, "bench"), "", metrics);
  return metrics;
}

}  // namespace heed::tools
