#include "recipes/engine/distillation.h"

#include <filesystem>

#include "autograd/ops/distribution_loss.h"
#include "autograd/ops/elementwise.h"
#include "nn/device_of.h"
#include "recipes/engine/checkpoint.h"
#include "recipes/engine/recipe_tree.h"
#include "recipes/engine/task_data.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

std::string in(const std::string& folder, const char* name) {
  return (fs::path(folder) / name).string();
}

}  // namespace

void DistillationOptions::options(Options& o) {
  o.field("teacher", teacher, "a run's folder (its latest good checkpoint) or a checkpoint's",
          {.required = true});
  o.field("temperature", temperature, "softens both models' probabilities", {.above = 0});
  o.field("weight", weight, "share of the teacher in the loss; the labels have the rest",
          {.min = 0, .max = 1});
  ClassificationOptions::options(o);
}

Distillation::Distillation(const Recipe& recipe, TaskUse use, const std::string& assets)
    : Distillation(recipe, use, assets,
                   read_options<DistillationOptions>(recipe.task, "task distillation")) {}

Distillation::Distillation(const Recipe& recipe, TaskUse use, const std::string& assets,
                           const DistillationOptions& options)
    : Classification(recipe, use, assets, options), options_(options) {
  if (use == TaskUse::train) load_teacher(recipe_.task.at("teacher").where());
}

void Distillation::load_teacher(const SourceLocation& where) {
  const std::string path = find_checkpoint(options_.teacher).path;
  const Recipe recipe = recipe_from_config(read_yaml_file(in(path, "recipe.yaml")));
  if (const data::Tokenizer* own = data_->tokenizer()) {
    const std::string file = tokenizer_file(path);
    if (!has_tokenizer(path) || !(data::load_tokenizer(file)->to_config() == own->to_config())) {
      fail_request(where, fmt::format("task distillation: the teacher {} reads another vocabulary; "
                                      "give the data its tokenizer: {{file: {}}}",
                                      options_.teacher, file));
    }
  }
  teacher_ = make_model(recipe.model, classes());
  if (teacher_->classes() != model_->classes()) {
    fail_request(where, fmt::format("task distillation: the teacher {} has {} classes, the student "
                                    "{}",
                                    options_.teacher, teacher_->classes(), model_->classes()));
  }
  const CheckpointContent content = read_checkpoint(path);
  nn::load_state_dict(*teacher_, inference_weights(content, recipe.evaluation.use_ema));
  if (recipe_.train.precision == "bf16") teacher_->compute_in(DType::bf16);
  if (recipe_.train.precision == "f64") teacher_->convert(DType::f64);
  teacher_->eval();
}

Tensor Distillation::loss(const Batch& batch) {
  const Tensor logits = outputs(*model_, batch);
  teacher_->to(nn::device_of(*model_));
  Tensor taught;
  {
    const NoGrad no_grad;
    taught = outputs(*teacher_, batch);
  }
  return add(mul(label_loss(logits, batch["labels"]), 1.0 - options_.weight),
             mul(distillation_loss(logits, taught, options_.temperature), options_.weight));
}

double Distillation::flops_per_row() {
  // The teacher runs forward alone: a third of what a trained model costs.
  return model_->flops() + (teacher_ ? teacher_->flops() / 3.0 : 0.0);
}

TaskEntry distillation_entry() {
  return {"distillation", "classification after a trained model",
          [] { return describe_options<DistillationOptions>(); },
          [](const Recipe& recipe, TaskUse use, const std::string& assets) {
            return std::make_unique<Distillation>(recipe, use, assets);
          }};
}

}  // namespace heed::recipes
