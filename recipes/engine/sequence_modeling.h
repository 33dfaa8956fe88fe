// Language modelling of made sequences (data/synthetic.h): the loss is over the answers alone, and
// the measure is how many of them are right.
#pragma once

#include <memory>
#include <string>

#include "data/synthetic.h"
#include "nn/models/language_model.h"
#include "recipes/engine/indexed_task.h"

namespace heed::recipes {

class SequenceModeling : public IndexedTask {
 public:
  SequenceModeling(const Recipe& recipe, TaskUse use);

  const char* name() const override { return "language_modeling"; }
  nn::Module& module() override { return *model_; }

  std::string data_summary() override;
  const char* item_name() const override { return "tokens"; }
  void resolve(Recipe& recipe) override { recipe.model = model_->config(); }

  /// Batches hold "inputs" and "targets", i64 [batch_size, length]; no example comes twice.
  Tensor loss(const Batch& batch) override;

  /// loss (nats an answer), accuracy of the answers, and example_accuracy: examples of which all
  /// answers are right. The held-out examples are the same for every run.
  Metrics evaluate(const EvaluationOptions& options, Communicator& communicator,
                   const Progress& progress) override;
  std::string best_metric() const override { return "accuracy"; }
  bool lower_is_better() const override { return false; }

  Config export_config() override { return model_->config(); }

 protected:
  int64_t items_per_row() const override { return data_.sequences.length; }
  double flops_per_row() override;

 private:
  data::SyntheticDataOptions data_;
  std::unique_ptr<nn::LanguageModel> model_;
};

}  // namespace heed::recipes
