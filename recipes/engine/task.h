// Task: what differs between training loops. A task builds its modules, turns a batch into a loss,
// evaluates and samples; the trainer does the rest once.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "autograd/tape.h"
#include "data/batches.h"
#include "distributed/communicator.h"
#include "nn/module.h"
#include "recipes/engine/generate.h"
#include "recipes/engine/recipe.h"

namespace heed::recipes {

/// Named numbers, in the order in which they are shown.
using Metrics = std::vector<std::pair<std::string, double>>;
/// The value of that name, or nullptr.
const double* find_metric(const Metrics& metrics, const std::string& name);

/// A micro-batch.
struct Batch {
  std::vector<std::pair<std::string, Tensor>> tensors;
  int64_t count = 0;  ///< what its mean loss is over (targets); weighs it among micro-batches

  /// The tensor of that name; an error without one.
  const Tensor& operator[](const std::string& name) const;
  /// The same, or nullptr.
  const Tensor* find(const std::string& name) const;
};

/// Told how far an evaluation is; may be empty.
using Progress = std::function<void(int64_t done, int64_t total)>;

class Task {
 public:
  virtual ~Task() = default;

  /// Its name in the registry.
  virtual const char* name() const = 0;

  /// The root of all that is trained; its state_dict is what a checkpoint holds.
  virtual nn::Module& module() = 0;

  /// One line on the data ("text: 1,003,854 training tokens, 65 symbols").
  virtual std::string data_summary() = 0;
  /// What a step consumes in all micro-batches, and what it is called ("tokens").
  virtual int64_t items_per_step() const = 0;
  virtual const char* item_name() const = 0;

  /// Writes into the recipe what the task decided (the model's whole configuration, its vocabulary
  /// included).
  virtual void resolve(Recipe& recipe) = 0;

  // Training.
  /// Every micro-batch is from now on this rank's part of it: rank `part.rank` of `part.world`.
  /// Before the first next_batch().
  virtual void share_batches(const data::RowSlice& part) = 0;
  /// The next micro-batch; may come from a prefetching thread.
  virtual Batch next_batch() = 0;
  /// Mean loss over the batch's targets, 0-dimensional and recorded.
  virtual Tensor loss(const Batch& batch) = 0;
  /// Where the data stands after the batches that next_batch() has given out.
  virtual Config data_position() = 0;
  virtual void seek_data(const Config& position) = 0;

  // Evaluation.
  /// Held-out metrics of the module as it is now (eval mode, no gradients); "loss" comes first.
  virtual Metrics evaluate(const EvaluationOptions& options, Communicator& communicator,
                           const Progress& progress) = 0;
  /// Metrics of the trivial predictors asked for in `evaluation.baselines`; does not depend on the
  /// model.
  virtual Metrics baselines(const EvaluationOptions& /*options*/) { return {}; }
  /// What `evaluation.baselines` may name; make_task() refuses the rest.
  virtual std::vector<std::string> known_baselines() const { return {}; }
  /// The metric that decides which checkpoint is best, and whether lower is better.
  virtual std::string best_metric() const { return "loss"; }
  virtual bool lower_is_better() const { return true; }

  // Use.
  /// What the model can make: nothing, texts that go on from a prompt, texts of their own that
  /// answer one, or files.
  enum class Samples { none, continuations, answers, files };
  virtual Samples samples() const { return Samples::none; }
  /// Continues or answers a prompt; a RequestError for tasks whose samples are no text.
  virtual Generated generate(const std::string& prompt, const GenerateOptions& options,
                             const TokenCallback& on_token);
  /// Of samples that are files.
  virtual const char* sample_extension() const { return ".png"; }
  /// Writes `options.count` samples, drawn by `seed`, into an existing folder, each file's name
  /// beginning with `prefix`; returns the paths. A RequestError for tasks whose samples are no
  /// files.
  virtual std::vector<std::string> write_samples(const std::string& folder,
                                                 const std::string& prefix,
                                                 const SampleOptions& options, int64_t seed);
  /// Writes what the weights cannot be used without (tokenizer.json) into a folder; returns the
  /// paths.
  virtual std::vector<std::string> save_assets(const std::string& /*folder*/) { return {}; }
  /// config.json of an exported model: architecture and its options, with what the data decided.
  virtual Config export_config() = 0;

  // Description.
  /// Floating-point operations of one training step (forward and backward, all micro-batches).
  virtual double flops_per_step() = 0;
  /// Estimate of the activations kept for the backward pass of one micro-batch, in bytes, by
  /// forward passes of the model, which must be initialised.
  virtual int64_t activation_bytes() = 0;
};

/// What the task is built for: everything but training can do without the training data.
enum class TaskUse { train, evaluate, generate };

struct TaskEntry {
  std::string name;
  std::string summary;
  std::function<Config()> schema;  ///< JSON Schema of its options
  /// `assets`: folder with the saved assets of a checkpoint ("" for a fresh run).
  std::function<std::unique_ptr<Task>(const Recipe&, TaskUse, const std::string& assets)> make;
};

/// All tasks, sorted by name.
const std::vector<TaskEntry>& task_registry();
const TaskEntry& find_task(const std::string& name, const SourceLocation& where = {});

/// Builds the recipe's task: modules (not yet initialised, computing in the recipe's precision) and
/// data. Impossible combinations are RequestErrors with the recipe's file:line:column; nothing is
/// written.
std::unique_ptr<Task> make_task(const Recipe& recipe, TaskUse use = TaskUse::train,
                                const std::string& assets = "");

}  // namespace heed::recipes
