// A training run on the terminal or in a log.
#pragma once

#include <string>

#include "recipes/engine/observer.h"
#include "tools/progress.h"

namespace heed::tools {

/// Shows a run as it goes; silent under --json but for warnings.
class TrainPrinter : public recipes::TrainObserver {
 public:
  explicit TrainPrinter(bool silent) : silent_(silent), progress_(stdout) {}

  void on_start(const recipes::StartReport& start) override;
  void on_step(const recipes::StepReport& step) override;
  void on_baselines(const recipes::Metrics& metrics) override;
  void on_eval_progress(int64_t done, int64_t total) override;
  void on_eval(const recipes::EvalReport& eval) override;
  void on_checkpoint(int64_t step, const std::string& folder) override;
  void on_sample(const recipes::SampleReport& sample) override;
  void on_warning(const std::string& message) override;
  void on_end(const recipes::EndReport& end) override;

  double first_step_seconds() const { return first_step_seconds_; }

 private:
  bool silent_;
  Progress progress_;
  recipes::StartReport start_;
  double first_step_seconds_ = 0.0;
};

}  // namespace heed::tools
