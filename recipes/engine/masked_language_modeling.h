// The task of masked language modelling (Devlin et al., arXiv 1810.04805, section 3.1): predict
// tokens of a text that were hidden, from those on both sides.
//   loss = -mean_i ln p(token_i | corrupted text)      over the tokens selected
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/masking.h"
#include "nn/models/encoder.h"
#include "recipes/engine/text_task.h"

namespace heed::recipes {

struct MaskedLanguageModelingOptions {
  std::string sampling = "epochs";
  data::MaskingOptions masking;
  void options(Options& o);
};

class MaskedLanguageModeling : public TextTask {
 public:
  MaskedLanguageModeling(const Recipe& recipe, TaskUse use, const std::string& assets);

  const char* name() const override { return "masked_language_modeling"; }
  nn::Module& module() override { return *model_; }
  void resolve(Recipe& recipe) override { recipe.model = model_->config(); }
  /// The id that hides a token: the tokenizer's "[MASK]", or else the one after its last.
  int64_t mask_id() const { return mask_id_; }

  /// Batches hold "inputs" and "targets", i64 [batch_size, context]; masks are drawn anew for each.
  Tensor loss(const Batch& batch) override;
  /// loss (nats a predicted token), perplexity, bits_per_token and accuracy over windows of the
  /// validation split, corrupted always in the same way; nothing when there is none.
  Metrics evaluate(const EvaluationOptions& options, Communicator& communicator,
                   const Progress& progress) override;
  /// unigram.loss: tokens by their frequency alone.
  Metrics baselines(const EvaluationOptions& options) override;
  std::vector<std::string> known_baselines() const override { return {"unigram"}; }
  Config export_config() override { return model_->config(); }

 private:
  int64_t items_per_row() const override { return model_->options().context; }
  double flops_per_row() override { return model_->flops(); }

  MaskedLanguageModelingOptions options_;
  int64_t mask_id_ = 0;
  std::unique_ptr<nn::Encoder> model_;
};

/// The task's line in the registry.
TaskEntry masked_language_modeling_entry();

}  // namespace heed::recipes
