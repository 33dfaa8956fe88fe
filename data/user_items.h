// Sequences of a user's items in time order, for next-item recommendation, with the leave-one-out
// protocol (SASRec, arXiv 1808.09781): a user's last item is the test target, the last but one the
// validation target, what comes before is for training.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/options.h"
#include "core/random.h"
#include "core/tensor.h"
#include "data/batches.h"
#include "data/labelled_dataset.h"

namespace heed::data {

struct UserItemOptions {
  std::string file;
  std::string format;
  int64_t min_length = 3;

  void options(Options& o);
};

/// Users' items; item numbers are 1 ... items, 0 pads.
struct UserItems {
  std::vector<std::vector<int64_t>> users;  ///< each of 3 items or more
  int64_t items = 0;
  std::string summary;
};

/// Reads "sequences" (a user a line, items between spaces) or "pairs" (`user item` a line in time
/// order); without a format, a file whose lines all have two numbers is "pairs". Items are numbered
/// anew, in the order of their numbers; users keep the order of their first line. Shorter users
/// than options.min_length are left out. RequestErrors carry file and line.
UserItems read_user_items(const UserItemOptions& options, const SourceLocation& where = {});

/// A batch of N places a user, padded with 0 on the left. Training: every place has its next item
/// as target and as many sampled negatives as asked for. Evaluation: the last place only matters.
struct SequenceBatch {
  Tensor items;      ///< i64 [B, N]
  Tensor targets;    ///< training: i64 [B, N], kIgnoreTarget at padding; else i64 [B]
  Tensor negatives;  ///< training: i64 [B, N, negatives], 0 at padding; undefined in evaluation
  Tensor users;      ///< i64 [B]; -1 in rows of padding
  int64_t index = 0;
  int64_t count = 0;  ///< targets that are not padding
};

struct SequenceOptions {
  int64_t batch = 128;
  int64_t length = 50;    ///< N
  int64_t negatives = 1;  ///< a place
  uint64_t seed = 0;
  RowSlice slice;
};

/// Training batch `index` >= 0 of an endless sequence: every user once an epoch in an order drawn
/// by (seed, epoch), their last N + 1 training items. Negatives are drawn uniformly among the items
/// that the user never touched, keyed by (seed, epoch, user): no rank or thread changes them.
SequenceBatch train_sequences(const UserItems& data, int64_t index, const SequenceOptions& options);

/// Batch `index` of all users in order; `part` is validation (the history is the training items)
/// or test (and the validation item). The last one is filled with padding.
SequenceBatch evaluation_sequences(const UserItems& data, Part part, int64_t index,
                                   const SequenceOptions& options);
int64_t evaluation_sequence_batches(const UserItems& data, int64_t batch);

/// How often each item occurs in training: [items + 1], 0 for padding. The popularity baseline
/// ranks by it.
std::vector<int64_t> item_counts(const UserItems& data);

/// Means of Recall@k and NDCG@k; one target a user, so NDCG is 1 / log2(1 + rank).
struct RankingScore {
  double recall = 0;
  double ndcg = 0;
};

/// Popularity's score over the first `users` (0: all): every item is a candidate but those of the
/// user's history; equals rank in the order of their numbers.
RankingScore score_popularity(const UserItems& data, Part part, int64_t k, int64_t users = 0);

}  // namespace heed::data
