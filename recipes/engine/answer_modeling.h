// Language modelling of pairs of texts, as instruction tuning does it: the model reads a source and
// an end id, and the loss is over the target that follows, its end included.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/text_pairs.h"
#include "nn/models/language_model.h"
#include "recipes/engine/indexed_task.h"

namespace heed::recipes {

/// One row a pair: inputs source, end, target without its last; targets kIgnoreTarget under the
/// source, then the target. Padded on the right. i64 [B, the longest row].
data::Batch joined(const data::PairBatch& pairs, int64_t end);

class AnswerModeling : public IndexedTask {
 public:
  AnswerModeling(const Recipe& recipe, TaskUse use, const std::string& assets);

  const char* name() const override { return "language_modeling"; }
  nn::Module& module() override { return *model_; }

  std::string data_summary() override { return data_ ? data_->summary() : ""; }
  const char* item_name() const override { return "pairs"; }
  void resolve(Recipe& recipe) override { recipe.model = model_->config(); }

  /// Batches hold "inputs" and "targets", see joined().
  Tensor loss(const Batch& batch) override;

  /// loss (nats a token of the targets), accuracy (of each, the true ones before it given) and
  /// example_accuracy: targets of which every token is right, which are those that the model writes
  /// when it takes the likeliest token each time.
  Metrics evaluate(const EvaluationOptions& options, Communicator& communicator,
                   const Progress& progress) override;
  std::string best_metric() const override { return "loss"; }

  Samples samples() const override { return Samples::answers; }
  /// The text that follows the source `prompt`.
  Generated generate(const std::string& prompt, const GenerateOptions& options,
                     const TokenCallback& on_token) override;
  /// tokenizer.json.
  std::vector<std::string> save_assets(const std::string& folder) override;
  Config export_config() override { return model_->config(); }

 protected:
  double flops_per_row() override;

 private:
  data::TokenId end() const { return static_cast<data::TokenId>(data::end_id(tokenizer())); }
  const data::Tokenizer& tokenizer() const {
    return own_tokenizer_ ? *own_tokenizer_ : data_->tokenizer();
  }

  std::shared_ptr<const data::TextPairs> data_;
  std::unique_ptr<data::Tokenizer> own_tokenizer_;  // without data
  std::unique_ptr<nn::LanguageModel> model_;
  data::Part part_ = data::Part::validation;
};

}  // namespace heed::recipes
