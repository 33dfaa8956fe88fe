// The task of language modelling: predict the next token of a text.
//   loss = -mean_i ln p(token_{i+1} | token_1 .. token_i)      over windows of the text
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/models/language_model.h"
#include "recipes/engine/picture_reader.h"
#include "recipes/engine/text_task.h"

namespace heed::recipes {

struct LanguageModelingOptions {
  std::string sampling = "random";   // of a text alone
  std::string part = "auto";         // of pairs; other data have no test part
  std::string documents = "joined";  // of a text alone, as the next
  std::string positions = "document";
  std::vector<ContextStage> curriculum;          // of a text alone
  std::vector<std::string> freeze = {"vision"};  // of pictures with words
  void options(Options& o);
};

class LanguageModeling : public TextTask, public PictureReader {
 public:
  LanguageModeling(const Recipe& recipe, TaskUse use, const std::string& assets,
                   const LanguageModelingOptions& options);

  const char* name() const override { return "language_modeling"; }
  nn::Module& module() override { return *model_; }
  nn::LanguageModel& model() { return *model_; }

  void resolve(Recipe& recipe) override { recipe.model = model_->config(); }

  /// Batches hold "inputs" and "targets", i64 [batch_size, context] (in a stage of the curriculum
  /// more and shorter rows); with documents apart also
  /// "documents" (nn::PackedDocuments).
  Tensor loss(const Batch& batch) override;

  /// loss (nats a token), perplexity, bits_per_token, bits_per_byte over the validation split;
  /// nothing when there is none. With documents apart their first tokens do not count. Then, of a
  /// model whose layers add losses of their own, their mean (`extra_loss`, which is not in the
  /// loss), and corpus_metrics().
  Metrics evaluate(const EvaluationOptions& options, Communicator& communicator,
                   const Progress& progress) override;
  /// <name>.loss and <name>.bits_per_byte of "unigram" and, say, "3-gram".
  Metrics baselines(const EvaluationOptions& options) override;
  std::vector<std::string> known_baselines() const override {
    if (data_ && data_->stream) return {};  // there is nothing to count but what has gone by
    return {"unigram", "ngram"};
  }

  Samples samples() const override { return Samples::continuations; }
  /// See generate_text().
  Generated generate(const std::string& prompt, const GenerateOptions& options,
                     const TokenCallback& on_token) override;
  /// See read_image_prompt(). A RequestError for a model that reads no images.
  Generated generate_about(const std::string& image, const std::string& assets,
                           const std::string& prompt, const GenerateOptions& options,
                           const TokenCallback& on_token) override;
  Config export_config() override { return model_->config(); }

  int64_t activation_bytes() override;

 private:
  int64_t items_per_row() const override { return model_->context(); }
  double flops_per_row() override;
  bool apart() const { return options_.documents == "apart"; }
  nn::PackedDocuments packed(const Tensor& documents) const {
    return {documents, options_.positions == "document"};
  }

  LanguageModelingOptions options_;
  std::unique_ptr<nn::LanguageModel> model_;
};

/// The task's line in the registry.
TaskEntry language_modeling_entry();

}  // namespace heed::recipes
