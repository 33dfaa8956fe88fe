// Language modelling of pairs of texts, as instruction tuning does it: the model reads a source and
// an end id, and the loss is over the target that follows, its end included.
#pragma once

#include <memory>
#include <string>

#include "data/text_pairs.h"
#include "nn/models/language_model.h"
#include "recipes/engine/pair_task.h"

namespace heed::recipes {

/// One row a pair: inputs source, end, target without its last; targets kIgnoreTarget under the
/// source, then the target. Padded on the right. i64 [B, the longest row].
data::Batch joined(const data::PairBatch& pairs, int64_t end);

class AnswerModeling : public PairTask {
 public:
  /// `part`: what is evaluated, see part_option().
  AnswerModeling(const Recipe& recipe, TaskUse use, const std::string& assets,
                 const std::string& part);

  const char* name() const override { return "language_modeling"; }
  nn::Module& module() override { return *model_; }

  void resolve(Recipe& recipe) override { recipe.model = model_->config(); }

  /// Batches hold "inputs" and "targets", see joined().
  Tensor loss(const Batch& batch) override;

  /// loss (nats a token of the targets), accuracy (of each, the true ones before it given) and
  /// example_accuracy: targets of which every token is right, which are those that the model writes
  /// when it takes the likeliest token each time.
  Metrics evaluate(const EvaluationOptions& options, Communicator& communicator,
                   const Progress& progress) override;

  /// The text that follows the source `prompt`.
  Generated generate(const std::string& prompt, const GenerateOptions& options,
                     const TokenCallback& on_token) override;
  Config export_config() override { return model_->config(); }

 protected:
  double flops_per_row() override;

 private:
  std::unique_ptr<nn::LanguageModel> model_;
};

}  // namespace heed::recipes
