#include "data/example_order.h"

#include "data/permutation.h"

namespace heed::data {

std::vector<int64_t> training_examples(int64_t index, int64_t count,
                                       const LabelledBatchOptions& options) {
  HEED_CHECK(index >= 0 && count > 0, "batches: number {} of {} examples", index, count);
  const RowRange mine = rows_of(options.slice, options.batch);
  std::vector<int64_t> examples;
  for (int64_t row = mine.begin; row < mine.end; ++row) {
    const auto nth = static_cast<uint64_t>(index * options.batch + row);
    const auto place = place_in_epochs(options.seed, nth, static_cast<uint64_t>(count));
    examples.push_back(static_cast<int64_t>(place.example));
  }
  return examples;
}

std::vector<int64_t> evaluation_examples(int64_t index, int64_t count,
                                         const LabelledBatchOptions& options) {
  const int64_t batches = evaluation_batches(count, options.batch);
  HEED_CHECK(index >= 0 && index < batches, "batches: number {} of {}", index, batches);
  const RowRange mine = rows_of(options.slice, options.batch);
  std::vector<int64_t> examples;
  for (int64_t row = mine.begin; row < mine.end; ++row) {
    const int64_t example = index * options.batch + row;
    examples.push_back(example < count ? example : -1);
  }
  return examples;
}

int64_t evaluation_batches(int64_t count, int64_t batch) {
  HEED_CHECK(batch >= 1, "batches: a batch of {} rows", batch);
  return (count + batch - 1) / batch;
}

}  // namespace heed::data
