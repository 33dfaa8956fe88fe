#include "recipes/engine/report/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "core/files.h"
#include "core/readable.h"

namespace heed::recipes {
namespace {

std::string at_step(const Series& series, int index) {
  return "best, at step " + grouped(static_cast<int64_t>(series.x[static_cast<size_t>(index)]));
}

// "3-gram: 2.110": the best of the predictors without a network.
std::string best_baseline(const RunData& run, const std::string& metric) {
  const std::string suffix = "." + metric;
  std::string text;
  double best = std::numeric_limits<double>::infinity();
  for (const auto& [name, value] : run.baselines) {
    if (!name.ends_with(suffix) || !(value < best)) continue;
    best = value;
    text = fmt::format("{}: {:.3f}", name.substr(0, name.size() - suffix.size()), value);
  }
  return text;
}

void add_evaluation(const RunData& run, std::vector<Fact>& facts) {
  const int best = run.best_evaluation();
  if (best < 0) return;
  const Series& loss = run.eval.at("loss");
  const double value = loss.y[static_cast<size_t>(best)];
  facts.push_back(
      {"Validation loss", fmt::format("{:.4f}", value), at_step(loss, best), value, -1});
  if (const auto bits = run.eval.find("bits_per_byte"); bits != run.eval.end()) {
    if (static_cast<size_t>(best) >= bits->second.y.size()) return;
    const double per_byte = bits->second.y[static_cast<size_t>(best)];
    facts.push_back({"Bits per byte", fmt::format("{:.3f}", per_byte),
                     best_baseline(run, "bits_per_byte"), per_byte, -1});
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
    const double seconds = 1e-3 * median(step->second.y);
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

double median(std::vector<double> values) {
  if (values.empty()) return 0.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace heed::recipes
