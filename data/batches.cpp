#include "data/batches.h"

#include <algorithm>
#include <utility>

#include "core/random.h"
#include "data/permutation.h"

namespace heed::data {

RowRange rows_of(const RowSlice& slice, int64_t batch) {
  HEED_CHECK(slice.world >= 1 && slice.rank >= 0 && slice.rank < slice.world,
             "batches: rank {} of {}", slice.rank, slice.world);
  if (batch < 1 || batch % slice.world != 0) {
    fail_request("batches: a global batch of {} rows cannot be shared evenly by {} ranks", batch,
                 slice.world);
  }
  const int64_t share = batch / slice.world;
  return {slice.rank * share, (slice.rank + 1) * share};
}

namespace {

Batch empty_batch(const RowRange& rows, int64_t context, int64_t index) {
  const Shape shape{rows.end - rows.begin, context};
  return {Tensor::empty(shape, DType::i64), Tensor::empty(shape, DType::i64), index, 0};
}

}  // namespace

WindowBatches::WindowBatches(const Tokens& tokens, const WindowOptions& options)
    : tokens_(tokens), options_(options) {
  rows_of(options.slice, options.batch);
  HEED_CHECK(options.context >= 1, "batches: a context of {} tokens", options.context);
  if (tokens.size() < options.context + 1) {
    fail_request("batches: {} tokens are too few for a context of {}, which needs {} at least",
                 tokens.size(), options.context, options.context + 1);
  }
  if (options.sampling == "random") {
    windows_ = tokens.size() - options.context;
  } else if (options.sampling == "epochs") {
    windows_ = (tokens.size() - 1) / options.context;
  } else {
    fail_request("batches: unknown sampling '{}' (known: random, epochs)", options.sampling);
  }
}

int64_t WindowBatches::per_epoch() const {
  const int64_t windows = (tokens_.size() - 1) / options_.context;
  return (windows + options_.batch - 1) / options_.batch;
}

int64_t WindowBatches::start(int64_t index, int64_t row) const {
  const auto windows = static_cast<uint64_t>(windows_);
  if (options_.sampling == "random") {
    const RandomStream stream(
        {options_.seed, hash_name("data/windows"), static_cast<uint64_t>(index)});
    return static_cast<int64_t>(stream.below(static_cast<uint64_t>(row), windows));
  }
  const uint64_t nth = static_cast<uint64_t>(index * options_.batch + row);
  const EpochPlace place = place_in_epochs(options_.seed, nth, windows);
  return static_cast<int64_t>(place.example) * options_.context;
}

Batch WindowBatches::operator()(int64_t index) const {
  HEED_CHECK(index >= 0, "batches: batch {} was asked for", index);
  const RowRange rows = rows_of(options_.slice, options_.batch);
  const int64_t context = options_.context;
  Batch batch = empty_batch(rows, context, index);
  auto* inputs = batch.inputs.data<int64_t>();
  auto* targets = batch.targets.data<int64_t>();
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t begin = start(index, row);
    tokens_.copy(begin, context, inputs);
    tokens_.copy(begin + 1, context, targets);
    inputs += context;
    targets += context;
  }
  batch.count = batch.targets.numel();
  return batch;
}

EvaluationBatches::EvaluationBatches(const Tokens& tokens, int64_t batch, int64_t context,
                                     int64_t max_batches, const RowSlice& slice)
    : tokens_(tokens), batch_(batch), context_(context), slice_(slice) {
  rows_of(slice, batch);
  HEED_CHECK(context >= 1, "batches: a context of {} tokens", context);
  if (tokens.size() < 2) {
    fail_request("batches: {} tokens are too few to evaluate on: two are needed", tokens.size());
  }
  const int64_t per_batch = batch * context;
  batches_ = (tokens.size() - 1 + per_batch - 1) / per_batch;
  if (max_batches > 0) batches_ = std::min(batches_, max_batches);
}

int64_t EvaluationBatches::predicted() const {
  return std::min(tokens_.size() - 1, batches_ * batch_ * context_);
}

Batch EvaluationBatches::operator()(int64_t index) const {
  HEED_CHECK(index >= 0 && index < batches_, "batches: evaluation batch {} of {}", index, batches_);
  const RowRange rows = rows_of(slice_, batch_);
  Batch batch = empty_batch(rows, context_, index);
  auto* inputs = batch.inputs.data<int64_t>();
  auto* targets = batch.targets.data<int64_t>();
  std::fill_n(inputs, batch.inputs.numel(), 0);
  std::fill_n(targets, batch.targets.numel(), kIgnoreTarget);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t begin = (index * batch_ + row) * context_;
    const int64_t count = std::clamp<int64_t>(tokens_.size() - 1 - begin, 0, context_);
    if (count > 0) {
      tokens_.copy(begin, count, inputs);
      tokens_.copy(begin + 1, count, targets);
    }
    inputs += context_;
    targets += context_;
    batch.count += count;
  }
  return batch;
}

}  // namespace heed::data
