// The confusion matrix of a classifier, and what is read from it.
#pragma once

#include <cstdint>

#include "core/tensor.h"
#include "distributed/communicator.h"

namespace heed::recipes {

class Confusion {
 public:
  explicit Confusion(int64_t classes);

  /// Counts one example; classes are in [0, classes).
  void add(int64_t truth, int64_t predicted);
  /// Sums the ranks' counts.
  void reduce(Communicator& communicator) { communicator.all_reduce(counts_); }

  int64_t classes() const { return counts_.size(0); }
  int64_t count(int64_t truth, int64_t predicted) const;
  int64_t total() const;

  /// Part of the examples on the diagonal; NaN without examples.
  double accuracy() const;
  /// F1 of a class, 2 TP / (2 TP + FP + FN); NaN for a class that is neither true nor predicted.
  double f1(int64_t of_class) const;
  /// Mean F1 of the classes that occur (as truth or prediction); NaN without examples.
  double macro_f1() const;
  /// Intersection over union of a class, TP / (TP + FP + FN); NaN for a class that is neither true
  /// nor predicted.
  double iou(int64_t of_class) const;
  /// Mean over the classes that occur (as truth or prediction); NaN without examples.
  double mean_iou() const;

 private:
  /// True positives; examples of the class or predicted as it, those counted twice.
  struct Sides {
    double both, either;
  };
  Sides sides(int64_t of_class) const;
  double mean_over_occurring(double (Confusion::*measure)(int64_t) const) const;

  Tensor counts_;  // i64 [truth, predicted]
};

}  // namespace heed::recipes
