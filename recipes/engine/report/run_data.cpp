#include "recipes/engine/report/run_data.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "core/files.h"
#include "recipes/engine/metrics.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

std::string text_of(const Config& map, const char* key) {
  const Config* value = map.find(key);
  return value != nullptr && value->is_string() ? value->as_string() : "";
}

double number_of(const Config& map, const char* key) {
  const Config* value = map.find(key);
  return value != nullptr && value->is_number() ? value->as_number() : 0.0;
}

// Numbers of a line, but for those that are about the line itself.
void add_numbers(const Config& line, std::map<std::string, Series>& series,
                 std::vector<std::string>* names) {
  static const std::set<std::string> kAbout = {"kind", "step", "seconds", "eval_seconds", "best"};
  const double step = number_of(line, "step");
  for (const auto& [name, value] : line.as_map()) {
    if (!value.is_number() || kAbout.contains(name)) continue;
    if (names != nullptr && !series.contains(name)) names->push_back(name);
    series[name].add(step, value.as_number());
  }
}

// What a sample's file holds; nothing of other files and ones that are gone.
void read_sample_file(const std::string& folder, const std::string& file, RunSample& sample) {
  const fs::path path = fs::path(folder) / file;
  if (file.empty() || !fs::is_regular_file(path)) return;
  if (path.extension() == ".png") sample.image = read_file(path.string());
  if (path.extension() == ".json") sample.words = read_weighed_words(read_json_file(path.string()));
}

void add_line(const Config& line, RunData& run) {
  if (!line.is_map()) return;
  const std::string kind = text_of(line, "kind");
  run.last_step = std::max(run.last_step, static_cast<int64_t>(number_of(line, "step")));
  run.seconds = std::max(run.seconds, number_of(line, "seconds"));
  if (kind == "start") {
    run.start = line;
  } else if (kind == "train") {
    add_numbers(line, run.train, nullptr);
  } else if (kind == "eval") {
    add_numbers(line, run.eval, &run.eval_names);
  } else if (kind == "baselines") {
    for (const auto& [name, value] : line.as_map()) {
      if (value.is_number() && name != "step") run.baselines.emplace_back(name, value.as_number());
    }
  } else if (kind == "sample") {
    const Config* answers = line.find("answers");
    RunSample sample{static_cast<int64_t>(number_of(line, "step")), text_of(line, "prompt"),
                     text_of(line, "text"), answers != nullptr && answers->as_bool()};
    read_sample_file(run.folder, text_of(line, "file"), sample);
    run.samples.push_back(std::move(sample));
  } else if (kind == "end") {
    run.finished = true;
  }
}

}  // namespace

std::string RunData::item() const {
  const std::string item = text_of(start, "item");
  return item.empty() ? "items" : item;
}

std::string RunData::metric() const {
  const std::string wanted = text_of(start, "metric");
  return eval.contains(wanted) ? wanted : "loss";
}

bool RunData::lower_is_better() const {
  const Config* lower = start.find("lower_is_better");
  return metric() == "loss" || lower == nullptr || !lower->is_bool() || lower->as_bool();
}

int RunData::best_evaluation() const {
  const auto points = eval.find(metric());
  if (points == eval.end()) return -1;
  const std::vector<double>& y = points->second.y;
  const double sign = lower_is_better() ? 1.0 : -1.0;
  int best = -1;
  for (size_t i = 0; i < y.size(); ++i) {
    if (!std::isfinite(y[i])) continue;
    if (best < 0 || sign * y[i] < sign * y[static_cast<size_t>(best)]) best = static_cast<int>(i);
  }
  return best;
}

RunData read_run(const std::string& folder) {
  const fs::path path(folder);
  if (!fs::is_directory(path)) {
    fail_request("{}: no such folder; a report is made of a run's folder (runs/<name>)", folder);
  }
  if (!fs::exists(path / "metrics.jsonl") || !fs::exists(path / "recipe.yaml")) {
    fail_request("{}: holds no run (recipe.yaml and metrics.jsonl are expected)", folder);
  }
  RunData run;
  run.folder = folder;
  run.recipe_yaml = read_file((path / "recipe.yaml").string());
  run.recipe = parse_yaml(run.recipe_yaml, (path / "recipe.yaml").string());
  run.name = text_of(run.recipe, "name");
  run.description = text_of(run.recipe, "description");
  if (const Config* train = run.recipe.find("train")) {
    run.steps = static_cast<int64_t>(number_of(*train, "steps"));
  }
  for (const Config& line : read_metrics((path / "metrics.jsonl").string())) add_line(line, run);
  return run;
}

void label_runs(std::vector<RunData>& runs) {
  std::map<std::string, int> uses;
  for (const RunData& run : runs) ++uses[run.name];
  for (RunData& run : runs) {
    const bool unique = uses[run.name] == 1 && !run.name.empty();
    run.label = unique ? run.name : fs::path(run.folder).lexically_normal().string();
  }
}

}  // namespace heed::recipes
