#include "data/labelled_dataset.h"

#include <algorithm>

#include "data/permutation.h"
#include "data/registry.h"

namespace heed::data {
namespace {

void set_index(LabelledBatch& batch, int64_t index, std::span<const ExampleRow> rows) {
  const auto real = std::count_if(rows.begin(), rows.end(),
                                  [](const ExampleRow& row) { return row.example >= 0; });
  std::visit(
      [&](auto& b) {
        b.index = index;
        b.count = real;
      },
      batch);
}

}  // namespace

const char* name_of(Part part) {
  switch (part) {
    case Part::train:
      return "training";
    case Part::validation:
      return "validation";
    case Part::test:
      return "test";
  }
  return "";
}

LabelledBatch LabelledDataset::train_batch(int64_t index,
                                           const LabelledBatchOptions& options) const {
  HEED_CHECK(index >= 0, "batches: batch {} was asked for", index);
  const RowRange mine = rows_of(options.slice, options.batch);
  const auto examples = static_cast<uint64_t>(size(Part::train));
  const auto repeated = static_cast<uint64_t>(repeats());
  if (examples == 0) fail_request("batches: there is nothing to train on");
  std::vector<ExampleRow> rows(static_cast<size_t>(options.batch));
  for (size_t row = 0; row < rows.size(); ++row) {
    const uint64_t nth = static_cast<uint64_t>(index * options.batch) + row;
    const auto [epoch, example] = place_in_epochs(options.seed, nth / repeated, examples);
    const RandomKey draw =
        RandomKey{options.seed, hash_name("data/transforms"), epoch}.derive(example);
    const uint64_t repeat = nth % repeated;
    rows[row] = {static_cast<int64_t>(example), repeat == 0 ? draw : draw.derive(repeat), true};
  }
  const RandomKey batch_draw{options.seed, hash_name("data/mix"), static_cast<uint64_t>(index)};
  LabelledBatch batch = gather_training(rows, mine.begin, mine.end, batch_draw);
  set_index(batch, index,
            std::span(rows).subspan(static_cast<size_t>(mine.begin),
                                    static_cast<size_t>(mine.end - mine.begin)));
  return batch;
}

LabelledBatch LabelledDataset::gather_training(std::span<const ExampleRow> all, int64_t begin,
                                               int64_t end, const RandomKey&) const {
  return gather(Part::train,
                all.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
}

int64_t LabelledDataset::train_batches_per_epoch(int64_t batch) const {
  HEED_CHECK(batch >= 1, "batches: a batch of {} rows", batch);
  return (size(Part::train) * repeats() + batch - 1) / batch;
}

LabelledBatch LabelledDataset::evaluation_batch(Part part, int64_t index,
                                                const LabelledBatchOptions& options) const {
  const int64_t batches = evaluation_batches(part, options.batch);
  HEED_CHECK(index >= 0 && index < batches, "batches: {} batch {} of {}", name_of(part), index,
             batches);
  const RowRange mine = rows_of(options.slice, options.batch);
  std::vector<ExampleRow> rows;
  for (int64_t row = mine.begin; row < mine.end; ++row) {
    const int64_t example = index * options.batch + row;
    rows.push_back({example < size(part) ? example : -1, {}, false});
  }
  LabelledBatch batch = gather(part, rows);
  set_index(batch, index, rows);
  return batch;
}

int64_t LabelledDataset::evaluation_batches(Part part, int64_t batch) const {
  HEED_CHECK(batch >= 1, "batches: a batch of {} rows", batch);
  return (size(part) + batch - 1) / batch;
}

std::unique_ptr<LabelledDataset> open_labelled_dataset(const Config& config) {
  const Config& type = config.at("type");
  const DatasetEntry& entry = find_dataset(type.as_string(), type.where());
  if (!entry.open_labelled) {
    fail_request(type.where(), fmt::format("the dataset '{}' ({}) has no labelled examples",
                                           entry.name, entry.kind));
  }
  return entry.open_labelled(config);
}

}  // namespace heed::data
