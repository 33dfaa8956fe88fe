// The curves of the report's page.
#include <fmt/format.h>

#include <algorithm>

#include "core/readable.h"
#include "recipes/engine/report/chart.h"
#include "recipes/engine/report/page.h"

namespace heed::recipes {
namespace {

constexpr int kColors = 8;
constexpr int kBaselineColor = 7;

const Series& series_of(const std::map<std::string, Series>& all, const std::string& name) {
  static const Series kNone;
  const auto found = all.find(name);
  return found == all.end() ? kNone : found->second;
}

// Points averaged over: a fiftieth of the curve.
int64_t window_of(const Series& series) { return static_cast<int64_t>(series.x.size()) / 50; }

/// One run: raw and smoothed training loss, validation, and the baselines as levels.
std::string loss_of(const RunData& run) {
  const Series& raw = series_of(run.train, "loss");
  const Series& validation = series_of(run.eval, "loss");
  std::vector<Line> lines = {
      {.label = "training, as logged", .points = raw, .color = 0, .faint = true},
      {.label = "training", .points = smoothed(raw, window_of(raw)), .color = 0},
      {.label = "validation", .points = validation, .color = 1, .dots = true},
  };
  const double end =
      std::max(raw.empty() ? 0.0 : raw.x.back(), validation.empty() ? 0.0 : validation.x.back());
  for (const auto& [name, value] : run.baselines) {
    if (!name.ends_with(".loss")) continue;
    Series level;
    level.add(raw.empty() ? 0.0 : raw.x.front(), value);
    level.add(end, value);
    lines.push_back({.label = name.substr(0, name.size() - 5),
                     .points = level,
                     .color = kBaselineColor,
                     .dashed = true});
  }
  return chart({.title = "Loss", .unit = "against steps", .skip_start = true}, lines);
}

/// One quantity of all runs.
std::string of_all(const std::vector<RunData>& runs, const ChartOptions& options, bool training,
                   const std::string& name, bool smooth) {
  std::vector<Line> lines;
  for (size_t r = 0; r < runs.size(); ++r) {
    const Series& raw = series_of(training ? runs[r].train : runs[r].eval, name);
    const int color = static_cast<int>(r % kColors);
    if (smooth && runs.size() == 1) {
      lines.push_back({.label = name, .points = raw, .color = color, .faint = true});
    }
    lines.push_back({.label = runs[r].label,
                     .points = smooth ? smoothed(raw, window_of(raw)) : raw,
                     .color = color,
                     .dots = !training});
  }
  return chart(options, lines);
}

}  // namespace

std::string charts_part(const std::vector<RunData>& runs) {
  std::string html = "<h2>Curves</h2>\n<div class=\"charts\">\n";
  if (runs.size() == 1) {
    html += loss_of(runs.front());
  } else {
    html += of_all(runs, {.title = "Validation loss"}, false, "loss", false);
    html += of_all(runs, {.title = "Training loss", .unit = "smoothed", .skip_start = true}, true,
                   "loss", true);
  }
  std::vector<std::string> metrics;  // of any run, but loss
  for (const RunData& run : runs) {
    for (const std::string& name : run.eval_names) {
      if (name != "loss" && std::find(metrics.begin(), metrics.end(), name) == metrics.end()) {
        metrics.push_back(name);
      }
    }
  }
  // Perplexity and bits per token are the loss in other units.
  for (const std::string& name : metrics) {
    if (name == "perplexity" || name == "bits_per_token") continue;
    html += of_all(runs, {.title = titled(name), .unit = "held out"}, false, name, false);
  }
  html += of_all(runs, {.title = "Learning rate", .from_zero = true}, true, "learning_rate", false);
  html += of_all(runs, {.title = "Gradient norm", .unit = "before clipping", .log_scale = true},
                 true, "grad_norm", true);
  html += of_all(
      runs, {.title = "Throughput", .unit = runs.front().item() + " a second", .from_zero = true},
      true, "items_per_second", false);
  html += of_all(
      runs, {.title = "Step time", .unit = "milliseconds", .skip_start = true, .from_zero = true},
      true, "step_ms", true);
  return html + "</div>\n";
}

}  // namespace heed::recipes
