#include "tools/train_printer.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/readable.h"
#include "tools/metrics.h"

namespace heed::tools {

void TrainPrinter::on_start(const recipes::StartReport& start) {
  start_ = start;
  if (silent_) return;
  const std::string place =
      start.device == "cpu"
          ? fmt::format("{} {}", start.threads, start.threads == 1 ? "thread" : "threads")
          : start.device;
  progress_.line(fmt::format("{}: {} parameters, {} steps of {} {}, {} on {}{}", start.name,
                             grouped(start.parameters), grouped(start.steps),
                             grouped(start.items_per_step), start.item_name, start.precision, place,
                             start.ranks.empty() ? "" : ", " + start.ranks));
  progress_.line("data  " + start.data);
  progress_.line("run   " + start.run_dir);
  if (!start.resumed_from.empty()) {
    progress_.line(
        fmt::format("going on from {} (step {})", start.resumed_from, grouped(start.first_step)));
  }
}

void TrainPrinter::on_step(const recipes::StepReport& step) {
  const bool first = step.step == start_.first_step + 1;
  if (first) first_step_seconds_ = seconds_since_start();
  if (silent_) return;
  std::string text = fmt::format("loss {:.3f}  lr {:.2g}  {} {}/s", step.loss, step.learning_rate,
                                 compact(step.items_per_second), start_.item_name);
  if (first) {
    text += fmt::format("  (first step {} after the start)", duration_text(first_step_seconds_));
  } else if (step.step < step.steps) {
    text += fmt::format("  {} left", duration_text(step.seconds_left));
  }
  progress_.update("step", step.step, step.steps, text);
}

void TrainPrinter::on_baselines(const recipes::Metrics& metrics) {
  if (silent_) return;
  progress_.line("baselines");
  fmt::print("{}", comparison_table({}, metrics));
}

void TrainPrinter::on_eval_progress(int64_t done, int64_t total) {
  if (!silent_ && progress_.on_terminal()) progress_.update("eval", done, total, "");
}

void TrainPrinter::on_eval(const recipes::EvalReport& eval) {
  if (silent_) return;
  progress_.line(fmt::format("eval {:>7}  {}{}", grouped(eval.step), metrics_text(eval.metrics),
                             eval.best ? "  (best so far)" : ""));
}

void TrainPrinter::on_checkpoint(int64_t step, const std::string& folder) {
  if (!silent_ && !progress_.on_terminal()) {
    progress_.line(fmt::format("saved {:>6}  {}", grouped(step), folder));
  }
}

void TrainPrinter::on_sample(const recipes::SampleReport& sample) {
  if (silent_) return;
  progress_.line(fmt::format("sample {:>5}{}{}", grouped(sample.step),
                             sample.file.empty() ? "" : "  ", sample.file));
  if (!sample.file.empty()) return;
  const std::string text = (sample.answers ? "" : sample.prompt) + sample.text;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    progress_.line("  | " + text.substr(begin, end - begin));
    begin = end + 1;
  }
}

void TrainPrinter::on_warning(const std::string& message) {
  progress_.clear();
  print_warning(message);
}

void TrainPrinter::on_end(const recipes::EndReport& end) {
  if (silent_ || end.interrupted) return;
  progress_.line(
      fmt::format("done: {} steps in {}", grouped(end.step), duration_text(end.seconds)));
  fmt::print("{}", comparison_table(end.metrics, end.baselines));
  if (!end.best.empty() && end.best_step != end.step) {
    fmt::print("  best at step {}: {}\n", grouped(end.best_step), metrics_text(end.best));
  }
  fmt::print("saved in {0}\nnext: heed report {1}, heed {2} {1}, heed export {1} FOLDER\n",
             end.checkpoint, end.run_dir, start_.generates ? "generate" : "eval");
}

}  // namespace heed::tools
