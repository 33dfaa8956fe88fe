#include "recipes/engine/task.h"

#include <algorithm>

#include "recipes/engine/adapt.h"
#include "recipes/engine/classification.h"
#include "recipes/engine/denoising.h"
#include "recipes/engine/distillation.h"
#include "recipes/engine/few_shot.h"
#include "recipes/engine/language_modeling.h"
#include "recipes/engine/masked_language_modeling.h"
#include "recipes/engine/regression.h"
#include "recipes/engine/restoration.h"
#include "recipes/engine/retrieval.h"
#include "recipes/engine/segmentation.h"
#include "recipes/engine/sequence_to_sequence.h"
#include "recipes/engine/sequential_recommendation.h"

namespace heed::recipes {

const double* find_metric(const Metrics& metrics, const std::string& name) {
  for (const auto& [key, value] : metrics) {
    if (key == name) return &value;
  }
  return nullptr;
}

const Tensor* Batch::find(const std::string& name) const {
  for (const auto& [key, tensor] : tensors) {
    if (key == name) return &tensor;
  }
  return nullptr;
}

const Tensor& Batch::operator[](const std::string& name) const {
  const Tensor* tensor = find(name);
  HEED_CHECK(tensor != nullptr, "batch: it holds no '{}'", name);
  return *tensor;
}

Generated Task::generate(const std::string&, const GenerateOptions&, const TokenCallback&) {
  if (samples() == Samples::files) {
    fail_request("the task '{}' makes files: heed generate RUN --out FILE{}", name(),
                 sample_extension());
  }
  fail_request("the task '{}' writes no text: there is nothing to generate", name());
}

std::vector<std::string> Task::write_samples(const std::string&, const std::string&,
                                             const SampleOptions&, int64_t) {
  fail_request("the task '{}' draws no samples", name());
}

const std::vector<TaskEntry>& task_registry() {
  static const std::vector<TaskEntry> entries = {
      classification_entry(),
      denoising_entry(),
      distillation_entry(),
      few_shot_entry(),
      language_modeling_entry(),
      masked_language_modeling_entry(),
      regression_entry(),
      restoration_entry(),
      retrieval_entry(),
      segmentation_entry(),
      sequence_to_sequence_entry(),
      sequential_recommendation_entry(),
  };
  return entries;
}

const TaskEntry& find_task(const std::string& name, const SourceLocation& where) {
  std::vector<std::string> names;
  for (const TaskEntry& entry : task_registry()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  fail_request(where, fmt::format("unknown task '{}'{}; known: {}", name, did_you_mean(name, names),
                                  fmt::join(names, ", ")));
}

namespace {

/// Refuses what the recipe asks of the task beside learning and the task has not.
void check_extras(const Recipe& recipe, const Task& task) {
  const std::vector<std::string> known = task.known_baselines();
  for (const std::string& baseline : recipe.evaluation.baselines) {
    if (std::find(known.begin(), known.end(), baseline) != known.end()) continue;
    fail_request("evaluation.baselines: the task '{}' knows no '{}'; it knows: {}", task.name(),
                 baseline, known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")));
  }
  if (recipe.samples.every > 0 && task.samples() == Task::Samples::none) {
    fail_request("samples.every: the task '{}' draws no samples", task.name());
  }
}

/// Where `tokenizer.file` is a run's folder, puts its last checkpoint there.
void read_tokenizer_of_run(Config& data) {
  Config* tokenizer = data.is_map() ? data.find("tokenizer") : nullptr;
  Config* file = tokenizer != nullptr && tokenizer->is_map() ? tokenizer->find("file") : nullptr;
  if (file == nullptr || !file->is_string() || list_checkpoints(file->as_string()).empty()) return;
  const SourceLocation where = file->where();
  *file = Config(find_checkpoint(file->as_string()).path);
  file->set_where(where);
}

}  // namespace

std::unique_ptr<Task> make_task(const Recipe& given, TaskUse use, const std::string& assets) {
  Recipe recipe = given;
  read_tokenizer_of_run(recipe.data);
  const Config* type = recipe.task.find("type");
  const std::string name = type == nullptr ? "language_modeling" : type->as_string();
  const TaskEntry& entry = find_task(name, type == nullptr ? SourceLocation{} : type->where());
  std::unique_ptr<Task> task = entry.make(recipe, use, assets);
  check_extras(recipe, *task);
  adapt(task->module(), recipe.lora);
  if (recipe.train.precision == "bf16") task->module().compute_in(DType::bf16);
  if (recipe.train.precision == "f64") task->module().convert(DType::f64);
  return task;
}

}  // namespace heed::recipes
