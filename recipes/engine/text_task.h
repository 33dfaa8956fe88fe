// What the tasks on a stream of text share: the tokens, the tokenizer that a run keeps, windows.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/text_dataset.h"
#include "data/token_stream.h"
#include "recipes/engine/indexed_task.h"

namespace heed::recipes {

/// Training on shorter sequences at first: steps below `until` (and not of an earlier stage) have
/// windows of `context` tokens, and so many more rows that a step has as many tokens as any other.
struct ContextStage {
  int64_t until = 0;
  int64_t context = 0;
  void options(Options& o);
};

class TextTask : public IndexedTask {
 public:
  const data::Tokenizer& tokenizer() const { return *tokenizer_; }

  /// With how often a mixture's corpora will be read.
  std::string data_summary() override;
  const char* item_name() const override { return "tokens"; }
  /// tokenizer.json.
  std::vector<std::string> save_assets(const std::string& folder) override;
  /// With the place in the files, where the data are a stream.
  Config data_position() override;
  void seek_data(const Config& position) override;

 protected:
  explicit TextTask(const Recipe& recipe) : IndexedTask(recipe) {}

  /// Opens the data; where the assets hold a tokenizer the run goes on with it. For generating, the
  /// tokenizer is all that is read, and data_ stays null.
  void open_text(TaskUse use, const std::string& assets);
  /// The rows `part` of step `step`.
  using Windows = std::function<data::Batch(int64_t step, const data::RowSlice& part)>;
  /// Windows of `context` tokens of the training split, for batches of rows_per_step() rows; with
  /// `documents` these are kept apart. Owns what it reads. A RequestError, at the recipe's line,
  /// where the split (or a mixture's corpus) is too short for a window, for a stage of the
  /// `curriculum` whose context does not divide `context`, and for one of data that are a stream or
  /// a mixture. Once.
  ///
  /// With sampling "epochs" a new stage goes on where the last one stood, in tokens; of the epoch
  /// that it begins in, it draws the order anew over windows of its own length.
  Windows training_windows(int64_t context, const std::string& sampling, bool documents = false,
                           const std::vector<ContextStage>& curriculum = {});
  /// The windows over the validation split; it has two tokens at least.
  data::EvaluationBatches evaluation_windows(const EvaluationOptions& options, int64_t context,
                                             Communicator& communicator,
                                             bool documents = false) const;
  /// What training has seen of a mixture's corpora up to now: tokens.NAME and epochs.NAME; of a
  /// stream, the epoch. Nothing before the first step.
  Metrics corpus_metrics();

  std::shared_ptr<const data::TextDataset> data_;

 private:
  void check_curriculum(const std::vector<ContextStage>& curriculum, int64_t context) const;

  std::unique_ptr<data::Tokenizer> own_tokenizer_;  // without data
  const data::Tokenizer* tokenizer_ = nullptr;
  std::shared_ptr<const data::WindowBatches> mixed_;  // of a mixture, or null
  std::shared_ptr<data::StreamWindows> stream_;       // of a stream, or null
};

/// "The option `sampling`" of training windows, which such tasks have in common.
void sampling_option(Options& o, std::string& sampling);

}  // namespace heed::recipes
