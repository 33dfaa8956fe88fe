// What a training run reports while it goes.
#pragma once

#include <cstdint>
#include <string>

#include "recipes/engine/task.h"

namespace heed::recipes {

struct StartReport {
  std::string run_dir;
  std::string name;
  std::string data;  ///< Task::data_summary()
  int64_t parameters = 0;
  int64_t first_step = 0;  ///< steps already done: not 0 after a resume
  int64_t steps = 0;
  int64_t items_per_step = 0;
  std::string item_name;
  std::string device;
  std::string precision;
  int threads = 0;
  std::string ranks;            ///< "2 ranks over mpi"; empty for one
  std::string metric = "loss";  ///< tells the best evaluation
  bool lower_is_better = true;  ///< of that metric
  bool generates = false;       ///< `heed generate` works on its checkpoints
  std::string resumed_from;     ///< the checkpoint, or empty
};

struct StepReport {
  int64_t step = 0;  ///< steps done, this one included
  int64_t steps = 0;
  double loss = 0.0;
  double learning_rate = 0.0;
  double grad_norm = 0.0;  ///< before clipping
  double step_ms = 0.0;
  double items_per_second = 0.0;  ///< smoothed over the last steps
  int64_t items = 0;              ///< consumed since the start of the run
  int64_t peak_bytes = 0;         ///< of tensors, since the start of the process
  double seconds_left = 0.0;      ///< estimate, evaluations included
  bool logged = false;            ///< the step went to metrics.jsonl
};

struct EvalReport {
  int64_t step = 0;
  Metrics metrics;
  double seconds = 0.0;
  bool best = false;
};

struct SampleReport {
  int64_t step = 0;
  std::string prompt;
  std::string text;
  bool answers = false;   ///< the text answers the prompt; else it goes on from there
  std::string file = {};  ///< instead of text: relative to the run's folder
};

struct EndReport {
  std::string run_dir;
  int64_t step = 0;
  bool interrupted = false;  ///< by a signal; a checkpoint was written
  double seconds = 0.0;
  Metrics metrics;  ///< of the last evaluation
  Metrics best;     ///< of the best one
  int64_t best_step = 0;
  Metrics baselines;
  std::string checkpoint;  ///< the last one written
};

/// Hears what the trainer does, on its thread; every function may be left as it is.
class TrainObserver {
 public:
  virtual ~TrainObserver() = default;
  virtual void on_start(const StartReport&) {}
  virtual void on_step(const StepReport&) {}
  virtual void on_baselines(const Metrics&) {}
  virtual void on_eval_progress(int64_t /*done*/, int64_t /*total*/) {}
  virtual void on_eval(const EvalReport&) {}
  virtual void on_checkpoint(int64_t /*step*/, const std::string& /*folder*/) {}
  virtual void on_sample(const SampleReport&) {}
  virtual void on_warning(const std::string& /*message*/) {}
  virtual void on_end(const EndReport&) {}
};

}  // namespace heed::recipes
