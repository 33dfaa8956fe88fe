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

Batch empty_batch(const RowRange& rows, int64_t context, int64_t index, bool documents) {
  const Shape shape{rows.end - rows.begin, context};
  return {Tensor::empty(shape, DType::i64), Tensor::empty(shape, DType::i64), index, 0,
          documents ? Tensor::zeros(shape, DType::i64) : Tensor()};
}

void fill_row(Batch& batch, int64_t row, const Tokens& tokens, int64_t begin, int64_t count) {
  const int64_t first = row * batch.inputs.size(1);
  auto* targets = batch.targets.data<int64_t>() + first;
  tokens.copy(begin, count, batch.inputs.data<int64_t>() + first);
  tokens.copy(begin + 1, count, targets);
  batch.count += count;
  if (!batch.documents.defined()) return;
  auto* documents = batch.documents.data<int64_t>() + first;
  int64_t number = 0, at = 0;
  for (const int64_t start : tokens.document_starts(begin + 1, begin + 1 + count)) {
    const int64_t border = start - begin;  // the first input of the next document
    std::fill(documents + at, documents + std::min(border, count), number++);
    targets[border - 1] = kIgnoreTarget;
    --batch.count;
    at = border;
  }
  if (at < count) std::fill(documents + at, documents + count, number);
}

namespace {

std::vector<double> weights_of(const std::vector<CorpusRange>& corpora) {
  std::vector<double> weights;
  for (const CorpusRange& corpus : corpora) weights.push_back(corpus.weight);
  return weights.empty() ? std::vector<double>{1} : weights;
}

}  // namespace

WindowBatches::WindowBatches(const Tokens& tokens, const WindowOptions& options)
    : tokens_(tokens), options_(options), mixture_(options.seed, weights_of(options.corpora)) {
  rows_of(options.slice, options.batch);
  HEED_CHECK(options.context >= 1, "batches: a context of {} tokens", options.context);
  if (options.sampling != "random" && options.sampling != "epochs") {
    fail_request("batches: unknown sampling '{}' (known: random, epochs)", options.sampling);
  }
  if (options_.corpora.empty()) options_.corpora = {{"", 0, tokens.size(), 1}};
  for (const CorpusRange& corpus : options_.corpora) {
    if (corpus.size < options.context + 1) {
      fail_request("batches: {} tokens{} are too few for a context of {}, which needs {} at least",
                   corpus.size, corpus.name.empty() ? "" : " of " + corpus.name, options.context,
                   options.context + 1);
    }
  }
}

int64_t WindowBatches::windows(const CorpusRange& corpus) const {
  return options_.sampling == "random" ? corpus.size - options_.context
                                       : (corpus.size - 1) / options_.context;
}

int64_t WindowBatches::per_epoch() const {
  const int64_t windows = (tokens_.size() - 1) / options_.context;
  return (windows + options_.batch - 1) / options_.batch;
}

std::vector<int64_t> WindowBatches::rows_by_corpus(int64_t batches) const {
  const auto rows = static_cast<uint64_t>(batches * options_.batch);
  std::vector<int64_t> counts;
  for (size_t i = 0; i < options_.corpora.size(); ++i) {
    counts.push_back(static_cast<int64_t>(mixture_.count(i, rows)));
  }
  return counts;
}

int64_t WindowBatches::start(int64_t index, int64_t row) const {
  const Mixture::Draw draw = mixture_(static_cast<uint64_t>(index * options_.batch + row));
  const CorpusRange& corpus = options_.corpora[draw.corpus];
  const auto count = static_cast<uint64_t>(windows(corpus));
  if (options_.sampling == "random") {
    const RandomStream stream(
        {options_.seed, hash_name("data/windows"), static_cast<uint64_t>(index)});
    return corpus.begin + static_cast<int64_t>(stream.below(static_cast<uint64_t>(row), count));
  }
  // By name, so that another corpus in the mixture leaves the order within this one as it is.
  const uint64_t seed =
      corpus.name.empty() ? options_.seed : mix(options_.seed ^ hash_name(corpus.name));
  const EpochPlace place = place_in_epochs(seed, draw.nth, count);
  return corpus.begin + static_cast<int64_t>(place.example) * options_.context;
}

Batch WindowBatches::operator()(int64_t index) const {
  HEED_CHECK(index >= 0, "batches: batch {} was asked for", index);
  const RowRange rows = rows_of(options_.slice, options_.batch);
  Batch batch = empty_batch(rows, options_.context, index, options_.documents);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    fill_row(batch, row - rows.begin, tokens_, start(index, row), options_.context);
  }
  return batch;
}

EvaluationBatches::EvaluationBatches(const Tokens& tokens, int64_t batch, int64_t context,
                                     int64_t max_batches, const RowSlice& slice, bool documents)
    : tokens_(tokens), batch_(batch), context_(context), slice_(slice), documents_(documents) {
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
  Batch batch = empty_batch(rows, context_, index, documents_);
  std::fill_n(batch.inputs.data<int64_t>(), batch.inputs.numel(), 0);
  std::fill_n(batch.targets.data<int64_t>(), batch.targets.numel(), kIgnoreTarget);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t begin = (index * batch_ + row) * context_;
    const int64_t count = std::clamp<int64_t>(tokens_.size() - 1 - begin, 0, context_);
    if (count > 0) fill_row(batch, row - rows.begin, tokens_, begin, count);
  }
  return batch;
}

}  // namespace heed::data
