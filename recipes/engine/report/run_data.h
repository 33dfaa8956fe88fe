// What a run's folder says about it, gathered for the report.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/config.h"
#include "recipes/engine/task.h"
#include "recipes/engine/weighed_words.h"

namespace heed::recipes {

/// Points of one quantity over the steps.
struct Series {
  std::vector<double> x, y;
  bool empty() const { return x.empty(); }
  void add(double step, double value) {
    x.push_back(step);
    y.push_back(value);
  }
};

struct RunSample {
  int64_t step = 0;
  std::string prompt;
  std::string text;
  bool answers = false;    ///< the text answers the prompt; else it goes on from there
  std::string image = {};  ///< instead: the bytes of a PNG file
  std::optional<WeighedWords> words = {};  ///< or a text's weighed words
};

struct RunData {
  std::string folder;
  std::string label;  ///< name, or the folder where names are equal
  std::string name;
  std::string description;
  std::string recipe_yaml;
  Config recipe;
  Config start;                         ///< the "start" line
  std::map<std::string, Series> train;  ///< by field of the "train" lines
  std::map<std::string, Series> eval;   ///< by metric
  std::vector<std::string> eval_names;  ///< in the order of the file
  Metrics baselines;
  std::vector<RunSample> samples;
  int64_t steps = 0;      ///< asked for
  int64_t last_step = 0;  ///< reached, as far as it is logged
  double seconds = 0.0;   ///< of training
  bool finished = false;

  std::string item() const;
  /// The metric that tells the best evaluation, by the "start" line.
  std::string metric() const;
  bool lower_is_better() const;
  /// Index into eval's points of the best one by that metric; -1 without evaluations.
  int best_evaluation() const;
};

RunData read_run(const std::string& folder);

/// Labels that tell the runs apart.
void label_runs(std::vector<RunData>& runs);

}  // namespace heed::recipes
