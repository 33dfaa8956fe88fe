// The log of a run: every entry goes to metrics.jsonl (see metrics.h), its numbers and text to
// TensorBoard as "<kind>/<name>".
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/config.h"
#include "recipes/engine/events.h"
#include "recipes/engine/metrics.h"
#include "recipes/engine/observer.h"

namespace heed::recipes {

class RunLog {
 public:
  /// `step`: steps already done. What the files hold beyond it is dropped: a resumed run writes it
  /// again.
  RunLog(const std::string& run_dir, int64_t step, bool tensorboard);

  // `seconds`: of training so far.
  void start(const StartReport& report);
  void step(const StepReport& report, double seconds);
  void baselines(int64_t step, const Metrics& metrics);
  void eval(const EvalReport& report, double seconds);
  void sample(const SampleReport& report);
  void end(const EndReport& report);

 private:
  void write(const std::string& kind, int64_t step, const Config& fields);

  MetricsWriter metrics_;
  std::optional<EventWriter> events_;
};

}  // namespace heed::recipes
