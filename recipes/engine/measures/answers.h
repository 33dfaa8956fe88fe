// How many of the tokens that count are right, and in how many examples all of them.
#pragma once

#include "core/tensor.h"
#include "recipes/engine/task.h"

namespace heed::recipes {

class Answers {
 public:
  /// logits [B, N, vocab], targets i64 [B, N], of which data::kIgnoreTarget does not count; of the
  /// first `rows` rows. Not recorded.
  void add(const Tensor& logits, const Tensor& targets, int64_t rows);

  /// loss (nats a target), accuracy and example_accuracy over all ranks; nothing where there were
  /// no targets.
  Metrics metrics(Communicator& communicator) const;

 private:
  double nats_ = 0, targets_ = 0, right_ = 0, examples_ = 0, whole_ = 0;
};

}  // namespace heed::recipes
