#include "recipes/engine/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>

#include "core/allocator.h"
#include "core/files.h"
#include "core/parallel.h"
#include "distributed/batch_statistics.h"
#include "distributed/mesh.h"
#include "distributed/world.h"
#include "optim/schedule.h"
#include "recipes/engine/adapt.h"
#include "recipes/engine/checkpoint.h"
#include "recipes/engine/eval_mode.h"
#include "recipes/engine/evaluation_weights.h"
#include "recipes/engine/interrupt.h"
#include "recipes/engine/recipe_tree.h"
#include "recipes/engine/run_log.h"
#include "recipes/engine/shared_model.h"
#include "recipes/engine/train_step.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// Steps in a row that may be skipped as not finite before the run gives up.
constexpr int kMostSkips = 20;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string path_in(const std::string& folder, const std::string& name) {
  return (fs::path(folder) / name).string();
}

class Trainer {
 public:
  Trainer(const TrainRequest& request, TrainObserver& observer)
      : world_(request.ranks != nullptr ? *request.ranks : heed::world()),
        request_(request),
        recipe_(request.recipe),
        observer_(is_first() ? observer : silent_),
        run_dir_(run_folder(request)),
        schedule_(recipe_.schedule, recipe_.optimizer.lr, recipe_.train.steps),
        warn_([this](const std::string& message) { observer_.on_warning(message); }) {}

  EndReport run();

 private:
  /// Rank 0 alone speaks and writes.
  bool is_first() const { return world_.rank() == 0; }
  void check_folder() const;
  /// Fits the mesh to the ranks that were started.
  void fit();
  void check_device_axes() const;
  void build(const CheckpointInfo& last);
  void resume_from(const CheckpointInfo& checkpoint, const CheckpointContent& content);
  void open_folder();
  void report_start();
  void loop(const InterruptGuard& interrupt);

  void train_step(const InterruptGuard& interrupt);
  void handle_nonfinite(const std::string& what);
  void report_step(double loss, double norm, double step_seconds);
  bool evaluate();
  void sample();
  void checkpoint();

  bool due(int64_t every) const {
    return state_.step == recipe_.train.steps || (every > 0 && state_.step % every == 0);
  }

  Communicator& world_;  ///< for what is in the host's memory
  MeshShape shape_;
  Device device_;  ///< this rank's
  std::unique_ptr<Mesh> mesh_;
  std::unique_ptr<Communicator> statistics_;  ///< batch norm's; null where they are kept apart
  std::unique_ptr<Communicator> gathers_;     ///< of sharded parameters
  TrainObserver silent_;
  const TrainRequest& request_;
  Recipe recipe_;
  TrainObserver& observer_;
  std::string run_dir_;
  optim::Schedule schedule_;
  Warning warn_;
  std::string prompt_warning_;  // said once, not with every sample

  std::unique_ptr<Task> task_;
  std::unique_ptr<SharedModel> model_;
  std::unique_ptr<TrainStep> step_;
  std::unique_ptr<RunLog> log_;
  TrainState state_;
  std::string resumed_from_;
  std::string last_checkpoint_;
  int64_t evaluated_step_ = -1;
  int64_t saved_step_ = -1;
  int skipped_ = 0;
  bool interrupted_ = false;  ///< some rank was asked to stop

  Clock::time_point loop_start_;
  double seconds_before_ = 0.0;  ///< of earlier processes of this run
  int64_t first_step_ = 0;
  double smooth_seconds_ = 0.0;  ///< of a step
};

void Trainer::check_folder() const {
  if (fs::exists(run_dir_) && !fs::is_directory(run_dir_)) {
    fail_request("{}: is a file; a run needs a folder", run_dir_);
  }
  if (!request_.resume && fs::exists(path_in(run_dir_, "recipe.yaml"))) {
    fail_request("{}: holds a run already; go on with it (--resume) or choose another folder",
                 run_dir_);
  }
}

void Trainer::fit() {
  shape_ = fit_mesh(recipe_.parallel.shape(), world_.size());
  device_ = device_of_rank(recipe_.device);
  if (!device_.is_cpu()) check_device_axes();
  check_rows_share_out("train.batch_size", recipe_.train.batch_size, shape_.data);
  check_rows_share_out("evaluation.batch_size", recipe_.evaluation.batch_size, shape_.data);
}

/// What ranks share on devices so far.
void Trainer::check_device_axes() const {
  const char* unsuited = shape_.sequence > 1 ? "the axis sequence"
                         : shape_.data > 1 && recipe_.parallel.shard == "parameters"
                             ? "parallel.shard: parameters"
                             : nullptr;
  if (unsuited == nullptr) return;
  fail_request("'device': {}: {} works on the cpu alone so far", recipe_.device, unsuited);
}

/// Anew, or as the checkpoint has it where there is one.
void Trainer::build(const CheckpointInfo& last) {
  random_context() = {static_cast<uint64_t>(recipe_.seed), 0, 0};
  task_ = make_task(recipe_, TaskUse::train, last.path);
  task_->resolve(recipe_);
  task_->share_batches({mesh_->place().data, mesh_->shape().data});
  if (statistics_) share_batch_statistics(task_->module(), *statistics_);
  nn::Module& module = task_->module();
  CheckpointContent content;
  if (last.path.empty()) {
    module.initialise(static_cast<uint64_t>(recipe_.seed));
    if (!recipe_.train.from.empty()) start_from(module, recipe_.train.from, warn_);
  } else {
    content = read_checkpoint(last.path);
    nn::load_state_dict(module, content.model);
  }
  module.to(device_);
  model_ = std::make_unique<SharedModel>(recipe_, module, *mesh_, gathers_.get());
  step_ = std::make_unique<TrainStep>(recipe_, *task_, *model_, *mesh_);
  state_.seed = static_cast<uint64_t>(recipe_.seed);
  if (!last.path.empty()) resume_from(last, content);
}

void Trainer::resume_from(const CheckpointInfo& checkpoint, const CheckpointContent& content) {
  if (!model_->load(content)) {
    warn_(checkpoint.path + ": holds no averaged weights; the average starts here");
  }
  const auto changes =
      tree_changes(parse_yaml(content.recipe_yaml, checkpoint.path), to_config(recipe_));
  if (!changes.empty()) {
    warn_(fmt::format("the recipe is not the one that {} was trained with: {}", checkpoint.path,
                      fmt::join(changes, ", ")));
  }
  state_ = content.state;
  state_.seed = static_cast<uint64_t>(recipe_.seed);
  task_->seek_data(state_.data);
  // Whatever was due at a checkpoint's step was done before it was written.
  first_step_ = saved_step_ = evaluated_step_ = state_.step;
  seconds_before_ = state_.seconds;
  resumed_from_ = last_checkpoint_ = checkpoint.path;
}

void Trainer::open_folder() {
  make_directories(run_dir_);
  write_file_atomically(path_in(run_dir_, "recipe.yaml"), to_config(recipe_).to_yaml());
  log_ = std::make_unique<RunLog>(run_dir_, state_.step, recipe_.train.tensorboard);
}

void Trainer::report_start() {
  StartReport report;
  report.run_dir = run_dir_;
  report.name = recipe_.name;
  report.data = task_->data_summary();
  report.parameters = model_->parameter_count();
  report.first_step = state_.step;
  report.steps = recipe_.train.steps;
  report.items_per_step = task_->items_per_step();
  report.item_name = task_->item_name();
  report.device = recipe_.device;
  report.precision = recipe_.train.precision;
  report.threads = thread_count();
  if (world_.size() > 1)
    report.ranks = fmt::format("{} ranks over {}", world_.size(), mesh_->world().name());
  report.metric = task_->best_metric();
  report.lower_is_better = task_->lower_is_better();
  report.generates = task_->samples() != Task::Samples::none;
  report.resumed_from = resumed_from_;
  observer_.on_start(report);

  if (state_.step == 0 && log_) log_->start(report);
}

void Trainer::train_step(const InterruptGuard& interrupt) {
  const auto start = Clock::now();
  const StepResult result =
      step_->run(state_.step, schedule_.lr_at(state_.step), interrupt.signal() != 0);
  interrupted_ = result.asked_to_stop;
  if (!result.nonfinite.empty()) {
    handle_nonfinite(result.nonfinite);
  } else {
    if (model_->ema() != nullptr) model_->ema()->update();
    skipped_ = 0;
  }
  ++state_.step;
  state_.items += task_->items_per_step();
  report_step(result.loss, result.grad_norm, seconds_since(start));
}

void Trainer::handle_nonfinite(const std::string& what) {
  const std::string message = fmt::format("step {}: {}", state_.step + 1, what);
  if (recipe_.train.on_nonfinite == "skip" && ++skipped_ <= kMostSkips) {
    warn_(message + "; the step is skipped");
    return;
  }
  const std::string saved = last_checkpoint_.empty() ? "no checkpoint was written yet"
                                                     : "the last checkpoint is " + last_checkpoint_;
  throw AgreedError(fmt::format("{}; {}", message, saved));
}

void Trainer::report_step(double loss, double norm, double step_seconds) {
  constexpr double kSmoothing = 0.95;
  smooth_seconds_ = smooth_seconds_ == 0.0
                        ? step_seconds
                        : kSmoothing * smooth_seconds_ + (1.0 - kSmoothing) * step_seconds;
  const double elapsed = seconds_since(loop_start_);
  const auto done = static_cast<double>(state_.step - first_step_);

  StepReport report;
  report.step = state_.step;
  report.steps = recipe_.train.steps;
  report.loss = loss;
  report.learning_rate = schedule_.lr_at(state_.step - 1);
  report.grad_norm = norm;
  report.step_ms = 1e3 * step_seconds;
  report.items_per_second = static_cast<double>(task_->items_per_step()) / smooth_seconds_;
  report.items = state_.items;
  report.peak_bytes = allocator::stats(device_).peak_bytes;
  report.seconds_left = elapsed / done * static_cast<double>(report.steps - report.step);
  report.logged = due(recipe_.train.log_every) || state_.step == 1;
  if (report.logged && log_) log_->step(report, seconds_before_ + elapsed);
  observer_.on_step(report);
}

bool Trainer::evaluate() {
  if (!statistics_) average_buffers(task_->module(), mesh_->data());
  evaluated_step_ = state_.step;
  if (is_first() && state_.baselines.empty() && !recipe_.evaluation.baselines.empty()) {
    state_.baselines = task_->baselines(recipe_.evaluation);
    log_->baselines(state_.step, state_.baselines);
    observer_.on_baselines(state_.baselines);
  }
  const auto start = Clock::now();
  EvalReport report;
  report.step = state_.step;
  {
    const EvaluationWeights weights(recipe_.evaluation.use_ema ? model_->ema() : nullptr,
                                    model_->sharded());
    const EvalMode mode(task_->module());
    report.metrics = task_->evaluate(
        recipe_.evaluation, mesh_->data(),
        [this](int64_t done, int64_t total) { observer_.on_eval_progress(done, total); });
  }
  report.seconds = seconds_since(start);
  if (report.metrics.empty()) return false;

  const double* value = find_metric(report.metrics, task_->best_metric());
  report.best = value != nullptr && std::isfinite(*value) &&
                (!state_.has_best || (task_->lower_is_better() ? *value < state_.best_value
                                                               : *value > state_.best_value));
  // What follows must be the same on all ranks, whose arithmetic may differ in the last bit.
  report.best = world_.all_reduce_number(is_first() && report.best, ReduceOp::max) > 0.0;
  if (report.best) {
    state_.has_best = true;
    state_.best_value = *value;
    state_.best_step = state_.step;
    state_.best_metrics = report.metrics;
  }
  state_.last_metrics = report.metrics;
  if (log_) log_->eval(report, seconds_before_ + seconds_since(loop_start_));
  observer_.on_eval(report);
  return report.best;
}

// Ranks that share a model's parts all take part; rank 0 alone tells.
void Trainer::sample() {
  const EvaluationWeights weights(recipe_.evaluation.use_ema ? model_->ema() : nullptr,
                                  model_->sharded());
  const bool files = task_->samples() == Task::Samples::files;
  if (mesh_->place().data > 0 || (files && !is_first())) return;
  const EvalMode mode(task_->module());
  const WholeSequences whole(task_->module(), model_->tokens());
  const SampleOptions& samples = recipe_.samples;
  std::vector<SampleReport> reports;
  if (files) {
    const std::string folder = path_in(run_dir_, "samples");
    make_directories(folder);
    const std::string prefix = fmt::format("step-{:08}", state_.step);
    for (const auto& path : task_->write_samples(folder, prefix, samples, recipe_.seed)) {
      const std::string file = fs::path(path).lexically_relative(run_dir_).generic_string();
      reports.push_back(
          {.step = state_.step, .prompt = {}, .text = {}, .answers = false, .file = file});
    }
  } else {
    GenerateOptions options = options_from(recipe_);
    for (int64_t i = 0; i < samples.count; ++i) {
      options.seed = recipe_.seed + i;
      const Generated generated = task_->generate(samples.prompt, options, {});
      if (generated.warning != prompt_warning_) warn_(prompt_warning_ = generated.warning);
      reports.push_back({.step = state_.step,
                         .prompt = samples.prompt,
                         .text = generated.text,
                         .answers = task_->samples() == Task::Samples::answers});
    }
  }
  if (!is_first()) return;
  for (const SampleReport& report : reports) {
    log_->sample(report);
    observer_.on_sample(report);
  }
}

void Trainer::checkpoint() {
  if (!statistics_) average_buffers(task_->module(), mesh_->data());
  saved_step_ = state_.step;
  state_.data = task_->data_position();
  state_.mesh = shape_;
  state_.seconds = seconds_before_ + seconds_since(loop_start_);
  CheckpointContent content;
  model_->save(content);
  content.state = state_;
  content.recipe_yaml = to_config(recipe_).to_yaml();
  content.assets = [this](const std::string& folder) { task_->save_assets(folder); };
  last_checkpoint_ = write_checkpoint(run_dir_, content, world_);
  if (!is_first()) return;
  std::vector<int64_t> also;
  if (recipe_.train.keep_best && state_.has_best) also.push_back(state_.best_step);
  prune_checkpoints(run_dir_, recipe_.train.keep_checkpoints, also);
  observer_.on_checkpoint(state_.step, last_checkpoint_);
}

void Trainer::loop(const InterruptGuard& interrupt) {
  // Several ranks stop after the step in which they heard of it from each other.
  const auto stop = [&] { return world_.size() == 1 ? interrupt.signal() != 0 : interrupted_; };
  const int64_t steps = request_.only_steps > 0 ? request_.only_steps : recipe_.train.steps;
  while (state_.step < steps && !stop()) {
    train_step(interrupt);
    const bool best = due(recipe_.train.eval_every) && evaluate();
    if (recipe_.samples.every > 0 && due(recipe_.samples.every)) sample();
    if (due(recipe_.train.checkpoint_every) || (best && recipe_.train.keep_best)) checkpoint();
  }
}

EndReport Trainer::run() {
  set_watchdog(recipe_.parallel.watchdog);
  agree(world_, [this] {
    if (is_first()) check_folder();
    fit();
  });
  mesh_ = std::make_unique<Mesh>(request_.ranks != nullptr ? world_ : world_on(device_), shape_);
  if (recipe_.parallel.sync_batch_norm) {
    statistics_ = mesh_->data().split(0, mesh_->data().rank());
  }
  if (recipe_.parallel.shard != "none" && mesh_->data().size() > 1) {
    gathers_ = mesh_->data().split(0, mesh_->data().rank());
  }
  const CheckpointInfo last =
      request_.resume ? latest_checkpoint(run_dir_, world_, warn_) : CheckpointInfo{};
  agree(world_, [&] { build(last); });
  agree(world_, [this] {
    if (is_first()) open_folder();
  });
  report_start();

  const InterruptGuard interrupt(request_.handle_signals);
  loop_start_ = Clock::now();
  loop(interrupt);
  EndReport report;
  if (request_.only_steps > 0) return report;
  report.interrupted = state_.step < recipe_.train.steps;
  if (!report.interrupted && evaluated_step_ != state_.step) evaluate();
  if (saved_step_ != state_.step) checkpoint();

  report.run_dir = run_dir_;
  report.step = state_.step;
  report.seconds = seconds_before_ + seconds_since(loop_start_);
  report.metrics = state_.last_metrics;
  report.best = state_.best_metrics;
  report.best_step = state_.best_step;
  report.baselines = state_.baselines;
  report.checkpoint = last_checkpoint_;
  if (!report.interrupted && state_.step > first_step_ && log_) log_->end(report);
  observer_.on_end(report);
  return report;
}

}  // namespace

std::string run_folder(const TrainRequest& request) {
  return request.run_dir.empty() ? path_in("runs", request.recipe.name) : request.run_dir;
}

EndReport train(const TrainRequest& request, TrainObserver& observer) {
  return Trainer(request, observer).run();
}

}  // namespace heed::recipes
