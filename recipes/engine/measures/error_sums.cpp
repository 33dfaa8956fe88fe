#include "recipes/engine/measures/error_sums.h"

#include <cmath>

namespace heed::recipes {

void ErrorSums::add(double predicted, double truth) {
  const double error = predicted - truth, offset = truth - origin_;
  count_ += 1.0;
  squares_ += error * error;
  absolute_ += std::abs(error);
  truths_ += offset;
  truth_squares_ += offset * offset;
}

void ErrorSums::reduce(Communicator& communicator) {
  for (double* sum : {&count_, &squares_, &absolute_, &truths_, &truth_squares_}) {
    *sum = communicator.all_reduce_number(*sum);
  }
}

double ErrorSums::rmse() const { return std::sqrt(mse()); }

double ErrorSums::r2() const {
  return 1.0 - squares_ / (truth_squares_ - truths_ * truths_ / count_);
}

}  // namespace heed::recipes
