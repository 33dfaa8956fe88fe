// A task whose training batches are a function of an index: every task on a data set that is not
// made while training. What follows from that is here once: batches made ahead in the background,
// a position that is one integer (so that a resumed run sees what the uninterrupted one would
// have), micro-batches that share out a step's rows, and estimates that scale with the rows.
#pragma once

#include <functional>
#include <memory>

#include "data/batches.h"
#include "data/prefetch.h"
#include "recipes/engine/task.h"

namespace heed::recipes {

class IndexedTask : public Task {
 public:
  int64_t items_per_step() const override { return rows_per_step() * items_per_row(); }
  void share_batches(const data::RowSlice& part) override { part_ = part; }
  /// Micro-batch m of a step holds the m-th part of the step's rows, and rank r of them the r-th
  /// part of that, so that neither accumulation nor ranks change what a step sees.
  Batch next_batch() override;
  Config data_position() override;
  void seek_data(const Config& position) override;

  double flops_per_step() override;
  /// From recorded forward passes of one row and of a few: what they keep is fixed + per row.
  int64_t activation_bytes() override;

 protected:
  explicit IndexedTask(const Recipe& recipe) : recipe_(recipe) {}

  /// The rows `part` (of rows_per_step()) of step `step` >= 0; a function of the two alone. Called
  /// from background threads, also while the derived task is being destroyed: it owns, or shares,
  /// what it reads.
  using BatchMaker = std::function<Batch(int64_t step, const data::RowSlice& part)>;
  /// Where batches come from; called once, by the constructor of a task that will train. They are
  /// made ahead from the first next_batch() or seek_data() on, by so many threads.
  void start_batches(BatchMaker make, int workers = 1);

  /// What start_batches() was given; an Error without.
  const BatchMaker& maker() const;

  int64_t rows_per_step() const { return recipe_.train.batch_size * recipe_.train.accumulation; }
  /// Rows of an evaluation batch: `evaluation.batch_size`, or as in training.
  int64_t evaluation_rows(const EvaluationOptions& options) const {
    return options.batch_size > 0 ? options.batch_size : recipe_.train.batch_size;
  }
  uint64_t seed() const { return static_cast<uint64_t>(recipe_.seed); }

  /// What a row counts as in items_per_step() (a text's tokens).
  virtual int64_t items_per_row() const { return 1; }
  /// Floating-point operations of one row's forward pass.
  virtual double flops_per_row() = 0;

  Recipe recipe_;

 private:
  void make_ahead(int64_t start);

  BatchMaker make_;
  int workers_ = 1;
  data::RowSlice part_;
  std::unique_ptr<data::Prefetcher<Batch>> prefetcher_;
};

/// Bytes that stay allocated while the result of a recorded forward pass lives.
int64_t kept_bytes(const std::function<Tensor()>& forward);
/// The value at x of the line through (x0, y0) and (x1, y1); x0 != x1.
int64_t on_line(int64_t x0, int64_t y0, int64_t x1, int64_t y1, int64_t x);

}  // namespace heed::recipes
