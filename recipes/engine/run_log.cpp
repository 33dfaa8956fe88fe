#include "recipes/engine/run_log.h"

#include <filesystem>

namespace heed::recipes {

RunLog::RunLog(const std::string& run_dir, int64_t step, bool tensorboard)
    : metrics_((std::filesystem::path(run_dir) / "metrics.jsonl").string(), step > 0 ? step : -1) {
  if (tensorboard) events_.emplace(run_dir, step > 0 ? step + 1 : 0);
}

void RunLog::write(const std::string& kind, int64_t step, const Config& fields) {
  metrics_.write(kind, step, fields);
  if (!events_) return;
  for (const auto& [name, value] : fields.as_map()) {
    const std::string tag = kind + "/" + name;
    if (value.is_number()) {
      events_->scalar(tag, value.as_number(), step);
    } else if (value.is_string()) {
      events_->text(tag, value.as_string(), step);
    }
  }
  events_->flush();
}

}  // namespace heed::recipes
