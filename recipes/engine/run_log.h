// The log of a run: every entry goes to metrics.jsonl, its numbers and text to TensorBoard.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/config.h"
#include "recipes/engine/events.h"
#include "recipes/engine/metrics.h"

namespace heed::recipes {

class RunLog {
 public:
  /// `step`: steps already done. What the files hold beyond it is dropped: a resumed run writes it
  /// again.
  RunLog(const std::string& run_dir, int64_t step, bool tensorboard);

  /// `fields` is a map of numbers and strings. TensorBoard gets "<kind>/<name>" for each.
  void write(const std::string& kind, int64_t step, const Config& fields);

 private:
  MetricsWriter metrics_;
  std::optional<EventWriter> events_;
};

}  // namespace heed::recipes
