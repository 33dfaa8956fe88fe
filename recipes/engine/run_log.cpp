#include "recipes/engine/run_log.h"

#include <filesystem>

#include "core/machine.h"

namespace heed::recipes {
namespace {

Config fields_of(const Metrics& metrics) {
  Config fields = Config::map();
  for (const auto& [name, value] : metrics) fields.set(name, value);
  return fields;
}

}  // namespace

RunLog::RunLog(const std::string& run_dir, int64_t step, bool tensorboard)
    : metrics_((std::filesystem::path(run_dir) / "metrics.jsonl").string(), step > 0 ? step : -1) {
  if (tensorboard) events_.emplace(run_dir, step > 0 ? step + 1 : 0);
}

void RunLog::start(const StartReport& report) {
  write("start", report.first_step,
        Config::Map{{"name", report.name},
                    {"parameters", report.parameters},
                    {"steps", report.steps},
                    {"item", report.item_name},
                    {"items_per_step", report.items_per_step},
                    {"metric", report.metric},
                    {"lower_is_better", report.lower_is_better},
                    {"precision", report.precision},
                    {"device", report.device},
                    {"threads", report.threads},
                    {"processor", processor_name()},
                    {"version", HEED_VERSION},
                    {"data", report.data}});
}

void RunLog::step(const StepReport& report, double seconds) {
  write("train", report.step,
        Config::Map{{"loss", report.loss},
                    {"learning_rate", report.learning_rate},
                    {"grad_norm", report.grad_norm},
                    {"step_ms", report.step_ms},
                    {"items", report.items},
                    {"items_per_second", report.items_per_second},
                    {"peak_bytes", report.peak_bytes},
                    {"seconds", seconds}});
}

void RunLog::baselines(int64_t step, const Metrics& metrics) {
  write("baselines", step, fields_of(metrics));
}

void RunLog::eval(const EvalReport& report, double seconds) {
  Config fields = fields_of(report.metrics);
  fields.set("eval_seconds", report.seconds);
  fields.set("seconds", seconds);
  fields.set("best", report.best);
  write("eval", report.step, fields);
}

void RunLog::sample(const SampleReport& report) {
  Config::Map fields{{"prompt", report.prompt}, {"text", report.text}};
  if (report.answers) fields.emplace_back("answers", true);
  if (!report.file.empty()) fields = {{"file", report.file}};
  write("sample", report.step, fields);
}

void RunLog::end(const EndReport& report) {
  write("end", report.step, Config::Map{{"seconds", report.seconds}});
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
