// Which examples stand in a batch, for datasets whose examples have numbers.
#pragma once

#include <cstdint>
#include <vector>

#include "data/labelled_dataset.h"

namespace heed::data {

/// This rank's rows of training batch `index` >= 0 of an endless sequence: each of the `count`
/// examples once an epoch, in an order drawn by (seed, epoch).
std::vector<int64_t> training_examples(int64_t index, int64_t count,
                                       const LabelledBatchOptions& options);
/// This rank's rows of batch `index` in the examples' order; -1 where the last one has no more.
std::vector<int64_t> evaluation_examples(int64_t index, int64_t count,
                                         const LabelledBatchOptions& options);
int64_t evaluation_batches(int64_t count, int64_t batch);

}  // namespace heed::data
