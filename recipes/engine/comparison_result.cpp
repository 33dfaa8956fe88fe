#include "recipes/engine/comparison_result.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/files.h"
#include "core/readable.h"

namespace heed::recipes {
namespace {

Config text_list(const std::vector<std::string>& texts) {
  Config list = Config::list();
  for (const std::string& text : texts) list.append(text);
  return list;
}

Config test_config(const ComparisonTest& test) {
  Config entry = Config::map();
  entry.set("name", test.name);
  entry.set("description", test.description);
  entry.set("recipe", test.recipe);
  entry.set("bench", text_list(test.bench));
  entry.set("overrides", text_list(test.overrides));
  Config columns = Config::list();
  for (const ComparisonColumn& column : test.columns) columns.append(write_options(column));
  entry.set("columns", columns);
  return entry;
}

Config measured(const std::vector<double>& values) {
  Config entry = Config::map();
  Config list = Config::list();
  for (const double value : values) list.append(value);
  entry.set("values", list);
  const Spread spread = spread_of(values);
  if (spread.count > 0) entry.set("mean", spread.mean);
  if (spread.count > 1) entry.set("deviation", spread.deviation);
  return entry;
}

Config arm_config(const ComparisonResult& result, const ComparisonArm& arm) {
  Config entry = Config::map();
  entry.set("name", arm.name);
  entry.set("description", arm.description);
  entry.set("overrides", text_list(arm.overrides));
  Config parameters = Config::map(), results = Config::map();
  const std::vector<ComparisonTest>& tests = result.plan.comparison.tests;
  for (size_t t = 0; t < tests.size(); ++t) {
    if (!arm.takes(tests[t])) continue;
    for (const ClaimRunOutcome& run : result.tests[t].runs) {
      if (run.run.arm == arm.name && run.result && run.result->parameters > 0)
        parameters.set(tests[t].name, run.result->parameters);
    }
    Config metrics = Config::map();
    for (const ComparisonColumn& column : tests[t].columns) {
      const auto values = result.tests[t].values(arm.name, "trained", column.metric);
      metrics.set(column.metric, measured(values));
    }
    results.set(tests[t].name, metrics);
  }
  entry.set("parameters", parameters);
  entry.set("results", results);
  return entry;
}

}  // namespace

int64_t ComparisonResult::failures() const {
  int64_t count = 0;
  for (const ClaimResult& test : tests) count += test.failures();
  return count;
}

Config to_config(const ComparisonResult& result, const std::string& command,
                 const std::string& version) {
  const Comparison& comparison = result.plan.comparison;
  Config document = Config::map();
  document.set("format", 1);
  document.set("comparison", comparison.slug);
  document.set("title", comparison.title);
  document.set("notes", comparison.notes);
  document.set("seeds", result.plan.seeds);
  Config tests = Config::list(), arms = Config::list(), failed = Config::list();
  for (const ComparisonTest& test : comparison.tests) tests.append(test_config(test));
  for (const ComparisonArm& arm : comparison.arms) arms.append(arm_config(result, arm));
  for (size_t t = 0; t < result.tests.size(); ++t) {
    for (const ClaimRunOutcome& run : result.tests[t].runs) {
      if (run.result) continue;
      failed.append(Config(Config::Map{{"test", comparison.tests[t].name},
                                       {"arm", run.run.arm},
                                       {"seed", run.run.seed},
                                       {"error", run.error}}));
    }
  }
  document.set("tests", tests);
  document.set("arms", arms);
  document.set("failed", failed);
  document.set("comparison_sha256", comparison.sha256);
  document.set("command", command);
  document.set("heed", version);
  return document;
}

std::vector<ComparisonCell> column_cells(const Config& document, const std::string& test,
                                         const Config& column) {
  std::vector<ComparisonCell> cells;
  const double sign = column.at("better").as_string() == "lower" ? -1.0 : 1.0;
  double best = -std::numeric_limits<double>::infinity(), worst = -best;
  for (const Config& arm : document.at("arms").as_list()) {
    ComparisonCell cell{.mean = std::numeric_limits<double>::quiet_NaN()};
    const Config* results = arm.at("results").find(test);
    const Config* entry =
        results == nullptr ? nullptr : results->find(column.at("metric").as_string());
    if (entry != nullptr && entry->has("mean")) {
      cell.mean = entry->at("mean").as_number();
      cell.runs = static_cast<int64_t>(entry->at("values").as_list().size());
      if (entry->has("deviation")) cell.deviation = entry->at("deviation").as_number();
      best = std::max(best, sign * cell.mean);
      worst = std::min(worst, sign * cell.mean);
    }
    cells.push_back(cell);
  }
  for (ComparisonCell& cell : cells) {
    if (!std::isfinite(cell.mean)) continue;
    cell.best = worst < best && sign * cell.mean == best;
    // Of numbers above 0: how many times worse.
    const double ratio = sign < 0 ? -best / cell.mean : cell.mean / best;
    cell.part = std::isfinite(ratio) ? std::clamp(ratio, 0.0, 1.0) : 0.0;
  }
  return cells;
}

std::string cell_text(const ComparisonCell& cell, const Config& column) {
  if (!std::isfinite(cell.mean)) return "";
  if (column.at("unit").as_string() == "bytes") {
    return format_bytes(static_cast<int64_t>(cell.mean));
  }
  std::string text = number_text(cell.mean);
  if (cell.runs > 1) text += " ± " + number_text(cell.deviation);
  return text;
}

}  // namespace heed::recipes
