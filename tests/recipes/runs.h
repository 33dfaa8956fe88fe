// Runs that a test watches, breaks off and compares.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "recipes/engine/checkpoint.h"
#include "recipes/engine/metrics.h"
#include "recipes/engine/observer.h"
#include "recipes/engine/task.h"
#include "recipes/engine/trainer.h"
#include "tests/core/raises.h"
#include "tests/recipes/tiny.h"

namespace heed::recipes {

/// Remembers what it hears, and calls `after_step` after every step.
struct Recorder : TrainObserver {
  std::vector<StepReport> steps;
  std::vector<EvalReport> evals;
  std::vector<std::string> warnings;
  std::vector<SampleReport> samples;
  Metrics baselines;
  std::function<void(const StepReport&)> after_step;

  void on_step(const StepReport& report) override {
    steps.push_back(report);
    if (after_step) after_step(report);
  }
  void on_eval(const EvalReport& report) override { evals.push_back(report); }
  void on_warning(const std::string& message) override { warnings.push_back(message); }
  void on_sample(const SampleReport& report) override { samples.push_back(report); }
  void on_baselines(const Metrics& metrics) override { baselines = metrics; }
};

inline void expect_same_bits(const NamedTensors& a, const NamedTensors& b) {
  ASSERT_EQ(a.size(), b.size());
  const std::map<std::string, Tensor> by_name(b.begin(), b.end());
  for (const auto& [name, tensor] : a) {
    ASSERT_TRUE(by_name.contains(name)) << name;
    EXPECT_TRUE(same_bits(tensor, by_name.at(name))) << name;
  }
}

/// Everything but times, which no two runs share.
inline void expect_same_run(const std::string& a, const std::string& b) {
  const CheckpointContent x = read_checkpoint(find_checkpoint(a).path);
  const CheckpointContent y = read_checkpoint(find_checkpoint(b).path);
  expect_same_bits(x.model, y.model);
  expect_same_bits(x.optimizer, y.optimizer);
  expect_same_bits(x.ema, y.ema);
  EXPECT_EQ(x.state.step, y.state.step);
  EXPECT_EQ(x.state.items, y.state.items);
  EXPECT_EQ(x.state.data, y.state.data);
  EXPECT_EQ(x.state.best_value, y.state.best_value);

  const auto comparable = [](const std::string& run) {
    std::vector<Config> lines;
    for (Config line : read_metrics(run + "/metrics.jsonl")) {
      for (const char* key :
           {"step_ms", "items_per_second", "seconds", "eval_seconds", "peak_bytes"}) {
        line.erase(key);
      }
      lines.push_back(line);
    }
    return lines;
  };
  EXPECT_EQ(comparable(a), comparable(b));
}

struct Crash : std::runtime_error {
  Crash() : std::runtime_error("crash") {}
};

/// Trains a recipe file into a folder; with `resume` goes on.
inline EndReport train_file(const std::string& recipe, const std::string& run_dir,
                            const std::vector<std::string>& overrides = {}, bool resume = false,
                            TrainObserver* observer = nullptr) {
  TrainRequest request;
  request.recipe = load_recipe(recipe, overrides);
  request.run_dir = run_dir;
  request.resume = resume;
  TrainObserver silent;
  return train(request, observer == nullptr ? silent : *observer);
}

/// Trains a recipe as a whole, and once more broken off after step `at` and resumed, and expects
/// the same bits.
inline void expect_exact_resume(const std::string& recipe, const std::string& folder, int64_t at,
                                const std::vector<std::string>& overrides = {}) {
  train_file(recipe, folder + "/whole", overrides);
  Recorder crashing;
  crashing.after_step = [at](const StepReport& report) {
    if (report.step == at) throw Crash();
  };
  EXPECT_THROW(train_file(recipe, folder + "/cut", overrides, false, &crashing), Crash);
  train_file(recipe, folder + "/cut", overrides, true);
  expect_same_run(folder + "/whole", folder + "/cut");
}

/// The message of the RequestError of building a recipe's task; "no error" without one.
inline std::string build_error(const std::string& recipe,
                               const std::vector<std::string>& overrides = {}) {
  return request_error([&] { make_task(load_recipe(recipe, overrides)); });
}

}  // namespace heed::recipes
