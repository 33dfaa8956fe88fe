#include "recipes/engine/report/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "core/files.h"
#include "core/readable.h"
#include "recipes/engine/statistics.h"

namespace heed::recipes {
namespace {

std::string at_step(const Series& series, int index) {
  return "best, at step " + grouped(static_cast<int64_t>(series.x[static_cast<size_t>(index)]));
}

// "3-gram: 2.110": the best of the predictors without a network.
std::string best_baseline(const RunData& run, const std::string& metric, double sign) {
  const std::string suffix = "." + metric;
  std::string text;
  double best = std::numeric_limits<double>::infinity();
  for (const auto& [name, value] : run.baselines) {
    if (!name.ends_with(suffix) || !(sign * value < best)) continue;
    best = sign * value;
    text = fmt::format("{}: {:.3f}", name.substr(0, name.size() - suffix.size()), value);
  }
  return text;
}

// The metrics that count, where the best evaluation has them: the one that tells which is best, the
// loss, bits per byte.
void add_evaluation(const RunData& run, std::vector<Fact>& facts) {
  const int best = run.best_evaluation();
  if (best < 0) return;
  const auto at_best = [&](const std::string& metric) -> const double* {
    const auto series = run.eval.find(metric);
    if (series == run.eval.end() || static_cast<size_t>(best) >= series->second.y.size()) {
      return nullptr;
    }
    return &series->second.y[static_cast<size_t>(best)];
  };
  const std::string metric = run.metric(), when = at_step(run.eval.at(metric), best);
  if (const double* value = at_best(metric); metric != "loss" && value != nullptr) {
    const int better = run.lower_is_better() ? -1 : 1;
    const std::string beside = best_baseline(run, metric, -better);
    facts.push_back({titled(metric), fmt::format("{:.4f}", *value),
                     beside.empty() ? when : when + "; " + beside, *value, better});
  }
  if (const double* value = at_best("loss")) {
    facts.push_back({"Validation loss", fmt::format("{:.4f}", *value), when, *value, -1});
  }
  if (const double* value = at_best("bits_per_byte"); metric == "loss" && value != nullptr) {
    facts.push_back({"Bits per byte", fmt::format("{:.3f}", *value),
                     best_baseline(run, "bits_per_byte", 1.0), *value, -1});
  }
}

void add_training(const RunData& run, std::vector<Fact>& facts) {
  if (const auto loss = run.train.find("loss"); loss != run.train.end()) {
    const std::vector<double>& y = loss->second.y;
    const size_t count = std::min<size_t>(y.size(), std::max<size_t>(y.size() / 20, 1));
    double sum = 0.0;
    for (size_t i = y.size() - count; i < y.size(); ++i) sum += y[i];
    const double mean = sum / static_cast<double>(count);
    facts.push_back(
        {"Training loss", fmt::format("{:.4f}", mean), "mean of the last 5%", mean, -1});
  }
  const Config* parameters = run.start.find("parameters");
  if (parameters != nullptr && parameters->is_integer()) {
    const auto count = static_cast<double>(parameters->as_integer());
    facts.push_back({"Parameters", compact(count), grouped(parameters->as_integer()), count});
  }
  const Config* items = run.start.find("items_per_step");
  const auto step = run.train.find("step_ms");
  if (items != nullptr && items->is_integer() && step != run.train.end()) {
    const double seconds = 1e-3 * quantile(step->second.y, 0.5);
    const double rate = seconds > 0.0 ? items->as_number() / seconds : 0.0;
    facts.push_back({"Throughput", compact(rate),
                     fmt::format("{}/s, {} a step", run.item(), duration_text(seconds)), rate, 1});
  }
  if (run.seconds > 0.0) {
    facts.push_back({"Training time", duration_text(run.seconds), grouped(run.last_step) + " steps",
                     run.seconds});
  }
  if (const auto peak = run.train.find("peak_bytes"); peak != run.train.end()) {
    const double bytes = *std::max_element(peak->second.y.begin(), peak->second.y.end());
    facts.push_back(
        {"Peak memory", format_bytes(static_cast<int64_t>(bytes)), "of tensors", bytes, -1});
  }
}

}  // namespace

std::vector<Fact> facts_of(const RunData& run) {
  std::vector<Fact> facts;
  add_evaluation(run, facts);
  add_training(run, facts);
  return facts;
}

}  // namespace heed::recipes
