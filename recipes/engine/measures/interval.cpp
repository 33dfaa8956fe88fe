#include "recipes/engine/measures/interval.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "recipes/engine/statistics.h"

namespace heed::recipes {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

}  // namespace

void IntervalMean::add(double value) {
  count_ += 1.0;
  sum_ += value;
  squares_ += value * value;
}

void IntervalMean::reduce(Communicator& communicator) {
  count_ = communicator.all_reduce_number(count_);
  sum_ = communicator.all_reduce_number(sum_);
  squares_ = communicator.all_reduce_number(squares_);
}

double IntervalMean::mean() const { return count_ > 0.0 ? sum_ / count_ : kNone; }

double IntervalMean::half_width() const {
  if (count_ < 2.0) return kNone;
  // Equal values may leave a negative rounding error.
  const double variance = std::max(0.0, squares_ - sum_ * sum_ / count_) / (count_ - 1.0);
  constexpr double kUpper = 0.975;
  return student_quantile(kUpper, count_ - 1.0) * std::sqrt(variance / count_);
}

Metrics IntervalMean::metrics(const std::string& name) const {
  return {{name, mean()}, {name + "_interval", half_width()}};
}

}  // namespace heed::recipes
