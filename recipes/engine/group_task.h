// What tasks on groups of examples share: a batch is so many groups, each of so many classes with
// so many examples of each, and what is learnt lies between a group's own members. A step's groups
// are shared out among micro-batches and ranks; a group is never cut, so neither changes what its
// members are compared with.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "data/class_sampler.h"
#include "recipes/engine/labelled_task.h"

namespace heed::recipes {

/// Classes of a group, and examples of each.
struct GroupShape {
  int64_t classes = 0;
  int64_t each = 0;
  int64_t rows() const { return classes * each; }
};

class GroupTask : public LabelledTask {
 protected:
  explicit GroupTask(const Recipe& recipe) : LabelledTask(recipe) {}

  /// Opens the data and builds the model, whose outputs are the embedding. RequestErrors, at the
  /// recipe's line, for data that mix or repeat images.
  void open_groups(const std::string& part, int64_t embedding, TaskUse use,
                   const std::string& assets);
  /// Batches of train.batch_size groups, group g of step s a function of (seed, s, g): "x" (with
  /// "lengths") and "labels" of all rows, group after group, class after class. Classes with fewer
  /// than `least` examples are left out.
  void start_groups(const GroupShape& shape, int64_t least);
  /// Rows of the data's, in this order.
  static Batch gathered_rows(const data::LabelledDataset& data, data::Part part,
                             std::span<const data::ExampleRow> rows);

  /// A part's classes with at least `least` examples; a RequestError where they are fewer than
  /// `classes`.
  data::ClassSampler sampler(data::Part part, int64_t least, int64_t classes) const;
  /// The model's embeddings [rows, D] of a batch, f32 at least.
  Tensor embed(const Batch& batch);

  int64_t items_per_row() const override { return shape_.rows(); }
  double flops_per_row() override {
    return LabelledTask::flops_per_row() * static_cast<double>(shape_.rows());
  }

 private:
  GroupShape shape_;
};

}  // namespace heed::recipes
