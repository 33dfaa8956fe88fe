// Language modelling of words about pictures, as visual instruction tuning does it (LLaVA, Liu et
// al., arXiv 2304.08485, section 4.2): the model reads a picture and what the user says, and the
// loss is over the answers alone, the end of each included.
//
//   inputs    [image x P] USER: what is this? ASSISTANT: a cat <end> ...
//   targets    -          -                              a cat <end>
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/image_processor.h"
#include "data/image_texts.h"
#include "nn/models/image_reader.h"
#include "recipes/engine/indexed_task.h"
#include "recipes/engine/picture_reader.h"

namespace heed::recipes {

/// The ids of an example and which of them are learnt.
struct PictureRow {
  std::vector<data::TokenId> ids;
  std::vector<bool> learnt;
};

/// The turns of an example as one row: what `format` makes of the user's words, with as many image
/// tokens as the reader has states where it says "<image>", or else in front, then the answer and
/// `end`; and so on.
PictureRow picture_row(const std::vector<data::Turn>& turns, const std::string& format,
                       const data::Tokenizer& tokenizer, const nn::ImageReader& reader,
                       data::TokenId end);

class PictureModeling : public IndexedTask, public PictureReader {
 public:
  /// `part`: what is evaluated, see part_option(). `frozen`: globs over the names of modules that
  /// do not learn; a RequestError for one that matches none.
  PictureModeling(const Recipe& recipe, TaskUse use, const std::string& assets,
                  const std::string& part, const std::vector<std::string>& frozen);

  const char* name() const override { return "language_modeling"; }
  nn::Module& module() override { return *model_; }
  std::string data_summary() override;
  const char* item_name() const override { return "pictures"; }

  void resolve(Recipe& recipe) override { recipe.model = model_->config(); }

  /// Batches hold "inputs" and "targets", i64 [B, N] (N: the longest row's), and "images", f32
  /// [B, H, W, C].
  Tensor loss(const Batch& batch) override;

  /// loss (nats a token of the answers), accuracy (of each, the true ones before it given) and
  /// example_accuracy: pictures of whose answers every token is right, which are those that the
  /// model writes when it takes the likeliest token each time.
  Metrics evaluate(const EvaluationOptions& options, Communicator& communicator,
                   const Progress& progress) override;

  /// Goes on after the user's words `prompt`, in the data's format, without a picture.
  Generated generate(const std::string& prompt, const GenerateOptions& options,
                     const TokenCallback& on_token) override;
  /// The same about a picture.
  Generated generate_about(const std::string& image, const std::string& assets,
                           const std::string& prompt, const GenerateOptions& options,
                           const TokenCallback& on_token) override;
  /// tokenizer.json, and hf-preprocessor_config.json where the data have a processor.
  std::vector<std::string> save_assets(const std::string& folder) override;
  Config export_config() override { return model_->config(); }

 private:
  struct Rows;

  void open(TaskUse use, const std::string& assets, const std::string& part);
  void make_model();
  void freeze(const std::vector<std::string>& frozen);
  const data::Tokenizer& tokenizer() const {
    return own_tokenizer_ ? *own_tokenizer_ : data_->tokenizer();
  }
  data::TokenId end() const;
  std::string asked(const std::string& prompt) const;
  double flops_per_row() override;

  std::shared_ptr<const data::ImageTexts> data_;
  std::unique_ptr<data::Tokenizer> own_tokenizer_;  // without data
  data::Part part_ = data::Part::validation;
  std::unique_ptr<nn::LanguageModel> model_;
  nn::ImageReader* reader_ = nullptr;  // the model
  Config processor_;                   // a map, or null
  std::shared_ptr<const Rows> rows_;   // of the data, for the model
};

}  // namespace heed::recipes
