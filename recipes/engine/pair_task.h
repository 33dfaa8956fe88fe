// What the tasks on pairs of texts share: the pairs, the tokenizer that a run keeps, the walk over
// the evaluated part.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/text_pairs.h"
#include "recipes/engine/indexed_task.h"

namespace heed::recipes {

class PairTask : public IndexedTask {
 public:
  std::string data_summary() override { return data_ ? data_->summary() : ""; }
  const char* item_name() const override { return "pairs"; }
  Samples samples() const override { return Samples::answers; }
  /// tokenizer.json.
  std::vector<std::string> save_assets(const std::string& folder) override;

 protected:
  explicit PairTask(const Recipe& recipe) : IndexedTask(recipe) {}

  /// Opens the data, of which `part` (see part_option()) is evaluated; where the assets hold a
  /// tokenizer the run goes on with it. For generating it is all that is read, and data_ stays
  /// null.
  void open_pairs(TaskUse use, const std::string& assets, const std::string& part);
  /// start_batches() with what `make` turns each batch of pairs into.
  void start_pairs(std::function<Batch(const data::PairBatch&)> make);
  /// Calls `visit` for this rank's share of the evaluated batches, where it has rows.
  void walk(const EvaluationOptions& options, Communicator& communicator, const Progress& progress,
            const std::function<void(const data::PairBatch&)>& visit) const;

  const data::Tokenizer& tokenizer() const {
    return own_tokenizer_ ? *own_tokenizer_ : data_->tokenizer();
  }
  data::TokenId end() const { return static_cast<data::TokenId>(data::end_id(tokenizer())); }

  std::shared_ptr<const data::TextPairs> data_;

 private:
  std::unique_ptr<data::Tokenizer> own_tokenizer_;  // without data
  data::Part part_ = data::Part::validation;
};

}  // namespace heed::recipes
