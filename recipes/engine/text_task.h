// What the tasks on a stream of text share: the tokens, the tokenizer that a run keeps, windows.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/text_dataset.h"
#include "recipes/engine/indexed_task.h"

namespace heed::recipes {

class TextTask : public IndexedTask {
 public:
  const data::Tokenizer& tokenizer() const { return *tokenizer_; }

  std::string data_summary() override { return data_ ? data_->summary : ""; }
  const char* item_name() const override { return "tokens"; }
  /// tokenizer.json.
  std::vector<std::string> save_assets(const std::string& folder) override;

 protected:
  explicit TextTask(const Recipe& recipe) : IndexedTask(recipe) {}

  /// Opens the data; where the assets hold a tokenizer the run goes on with it. For generating, the
  /// tokenizer is all that is read, and data_ stays null.
  void open_text(TaskUse use, const std::string& assets);
  /// Windows of `context` tokens of the training split, for batches of rows_per_step() rows. A
  /// RequestError, at the recipe's line, where the split is too short for one.
  data::WindowOptions training_windows(int64_t context, const std::string& sampling) const;
  /// The windows over the validation split; it has two tokens at least.
  data::EvaluationBatches evaluation_windows(const EvaluationOptions& options, int64_t context,
                                             Communicator& communicator) const;

  std::shared_ptr<const data::TextDataset> data_;

 private:
  std::unique_ptr<data::Tokenizer> own_tokenizer_;  // without data
  const data::Tokenizer* tokenizer_ = nullptr;
};

/// "The option `sampling`" of training windows, which such tasks have in common.
void sampling_option(Options& o, std::string& sampling);

}  // namespace heed::recipes
