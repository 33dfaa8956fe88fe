// What a claim's or comparison's runs tell the terminal while they go on.
#pragma once

#include <string>

#include "recipes/engine/claim_runner.h"
#include "tools/progress.h"

namespace heed::tools {

/// "loss  1x 1.62  4x 1.71": the claim's metric at every point.
std::string value_text(const recipes::ClaimPlan& plan, const recipes::ClaimRunResult& result);

/// A line for each run that ends, and a progress bar over the steps of all.
class RunsPrinter : public recipes::ClaimObserver {
 public:
  /// A silent one says warnings alone.
  explicit RunsPrinter(bool silent) : silent_(silent), progress_(stdout) {}

  void on_start(const recipes::ClaimPlan& plan, int64_t finished) override;
  void on_progress(const recipes::ClaimProgress& progress) override;
  void on_run(const recipes::ClaimRunOutcome& outcome, bool found) override;
  void on_warning(const std::string& message) override;

 private:
  /// The lines before the first run.
  virtual void introduce(const recipes::ClaimPlan& plan) = 0;

 protected:
  bool silent_;
  Progress progress_;

 private:
  recipes::ClaimPlan plan_;
};

/// The numbers that `heed bench` with these arguments prints with --json; those of a map within it
/// as "step_ms.median".
recipes::Metrics bench_metrics(const std::vector<std::string>& arguments);

}  // namespace heed::tools
