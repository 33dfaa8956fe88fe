// Errors of predicted numbers.
#pragma once

#include <cstdint>

#include "distributed/communicator.h"

namespace heed::recipes {

class ErrorSums {
 public:
  /// `origin`: a number near the truths (the training mean), so that their spread loses no digits.
  explicit ErrorSums(double origin = 0.0) : origin_(origin) {}

  void add(double predicted, double truth);
  /// Sums over the ranks.
  void reduce(Communicator& communicator);

  double mse() const { return squares_ / count_; }
  double rmse() const;
  /// Mean absolute error.
  double mae() const { return absolute_ / count_; }
  /// 1 - squared error / squared deviation of the truths from their mean; minus infinity or NaN
  /// where all truths are equal.
  double r2() const;

 private:
  double count_ = 0.0, squares_ = 0.0, absolute_ = 0.0;
  double origin_, truths_ = 0.0, truth_squares_ = 0.0;  // of truth - origin
};

}  // namespace heed::recipes
