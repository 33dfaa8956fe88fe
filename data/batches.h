// Batches of next-token prediction: windows of T + 1 consecutive tokens, T inputs and the T targets
// one place later. A batch is a function of its index alone, so a position in the data is an
// integer.
//
// A window may hold documents that follow each other. Where they are kept apart a batch says whose
// each token is, and the last token of a document predicts nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "data/mixture.h"
#include "data/tokens.h"

namespace heed::data {

/// Targets of this value are padding: they count neither in a loss nor in its mean.
inline constexpr int64_t kIgnoreTarget = -100;

struct Batch {
  Tensor inputs;          ///< i64 [B, T]
  Tensor targets;         ///< i64 [B, T]
  int64_t index = 0;      ///< its number, from 0
  int64_t count = 0;      ///< targets that are not padding
  Tensor documents = {};  ///< i64 [B, T]: 0, 1, ... along a row; undefined unless asked for
};

/// Which rows of the global batch this rank takes: rows [rank * B / world, (rank + 1) * B / world).
/// What a row holds does not depend on the number of ranks.
struct RowSlice {
  int64_t rank = 0;
  int64_t world = 1;
};

/// Rows [begin, end) of a global batch of `batch` rows. RequestError when the ranks cannot share it
/// evenly.
struct RowRange {
  int64_t begin, end;
};
RowRange rows_of(const RowSlice& slice, int64_t batch);

/// A batch of those rows whose values are not set yet (documents: all 0).
Batch empty_batch(const RowRange& rows, int64_t context, int64_t index, bool documents);
/// Fills a row of the batch with the window whose first of `count` inputs is token `begin`; where
/// documents are kept apart, the last token of each has no target.
void fill_row(Batch& batch, int64_t row, const Tokens& tokens, int64_t begin, int64_t count);

/// A corpus among the tokens, and its weight in the mixture.
struct CorpusRange {
  std::string name;
  int64_t begin = 0, size = 0;  ///< tokens
  double weight = 1;
};

struct WindowOptions {
  int64_t batch = 8;                ///< rows of the global batch; a multiple of the ranks
  int64_t context = 64;             ///< T
  uint64_t seed = 0;                ///< of the order
  std::string sampling = "random";  ///< "random" or "epochs"
  RowSlice slice;
  bool documents = false;  ///< keep documents apart
  /// Where rows are taken from, mixed by weight; empty: from all tokens alike.
  std::vector<CorpusRange> corpora = {};
};

/// Training batches, without end.
///   random   each row starts anywhere, uniformly, by (seed, batch index, row): as nanoGPT
///   epochs   the non-overlapping windows of the tokens, each once an epoch, in an order drawn by
///            (seed, epoch); a batch may straddle two epochs
/// A mixture's corpora have epochs of their own; no window holds tokens of two.
class WindowBatches {
 public:
  /// `tokens` must outlive this. RequestError when they, or those of a corpus, are fewer than
  /// context + 1.
  WindowBatches(const Tokens& tokens, const WindowOptions& options);

  /// The rank's rows of batch `index` >= 0. Safe to call from any thread.
  Batch operator()(int64_t index) const;
  /// Batches that make one pass over the tokens, rounded up.
  int64_t per_epoch() const;
  /// Rows of each corpus in the first `batches` batches.
  std::vector<int64_t> rows_by_corpus(int64_t batches) const;

 private:
  int64_t start(int64_t index, int64_t row) const;
  /// Possible starts (random) or windows in an epoch (epochs).
  int64_t windows(const CorpusRange& corpus) const;

  const Tokens& tokens_;
  WindowOptions options_;
  Mixture mixture_;
};

/// Evaluation batches: non-overlapping windows over all tokens in order, so that every token but
/// the first is predicted once. What is missing of the last window and of the last batch's rows is
/// padding: inputs 0, targets kIgnoreTarget.
class EvaluationBatches {
 public:
  /// `max_batches` > 0 stops early; `documents`: keep them apart. RequestError for fewer than two
  /// tokens.
  EvaluationBatches(const Tokens& tokens, int64_t batch, int64_t context, int64_t max_batches = 0,
                    const RowSlice& slice = {}, bool documents = false);

  int64_t size() const { return batches_; }
  /// Batch `index` in [0, size()). Under a slice, a rank's share of the last batch may have count
  /// 0.
  Batch operator()(int64_t index) const;
  /// Tokens predicted by all batches (of all ranks): tokens [1, 1 + predicted()), but for the first
  /// ones of documents that are kept apart.
  int64_t predicted() const;

 private:
  const Tokens& tokens_;
  int64_t batch_, context_, batches_;
  RowSlice slice_;
  bool documents_;
};

}  // namespace heed::data
