#include "recipes/engine/pair_task.h"

#include <algorithm>
#include <utility>

#include "data/registry.h"
#include "recipes/engine/task_data.h"

namespace heed::recipes {

void PairTask::open_pairs(TaskUse use, const std::string& assets, const std::string& part) {
  if (use == TaskUse::generate && has_tokenizer(assets)) {
    own_tokenizer_ = data::load_tokenizer(tokenizer_file(assets));
    return;
  }
  const Config& type = recipe_.data.at("type");
  const data::DatasetEntry& entry = data::find_dataset(type.as_string(), type.where());
  if (!entry.open_pairs) {
    fail_request(type.where(), fmt::format("task {}: the dataset '{}' ({}) has no pairs of texts",
                                           name(), entry.name, entry.kind));
  }
  data_ = entry.open_pairs(with_saved_tokenizer(recipe_.data, assets));
  part_ = chosen_part(recipe_, part, data_->size(data::Part::validation),
                      data_->size(data::Part::test), data_->summary());
}

void PairTask::start_pairs(std::function<Batch(const data::PairBatch&)> make) {
  const data::LabelledBatchOptions options{.batch = rows_per_step(), .seed = seed(), .slice = {}};
  start_batches(
      [data = data_, options, make = std::move(make)](int64_t step, const data::RowSlice& part) {
        data::LabelledBatchOptions own = options;
        own.slice = part;
        return make(data->train_batch(step, own));
      });
}

void PairTask::walk(const EvaluationOptions& options, Communicator& communicator,
                    const Progress& progress,
                    const std::function<void(const data::PairBatch&)>& visit) const {
  const data::LabelledBatchOptions of_rank{.batch = evaluation_rows(options),
                                           .seed = seed(),
                                           .slice = {communicator.rank(), communicator.size()}};
  int64_t batches = data_->evaluation_batches(part_, of_rank.batch);
  if (options.max_batches > 0) batches = std::min(batches, options.max_batches);
  for (int64_t i = 0; i < batches; ++i) {
    const data::PairBatch batch = data_->evaluation_batch(part_, i, of_rank);
    if (batch.rows > 0) visit(batch);
    if (progress) progress(i + 1, batches);
  }
}

std::vector<std::string> PairTask::save_assets(const std::string& folder) {
  tokenizer().save(tokenizer_file(folder));
  return {tokenizer_file(folder)};
}

}  // namespace heed::recipes
