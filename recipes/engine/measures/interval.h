// A mean over many measurements with its 95% interval, shared out among ranks.
#pragma once

#include <string>
#include <vector>

#include "recipes/engine/task.h"

namespace heed::recipes {

class IntervalMean {
 public:
  void add(double value);
  /// Sums over the ranks of the mesh.
  void reduce(Communicator& communicator);

  double count() const { return count_; }
  /// NaN without values.
  double mean() const;
  /// Half the width of the mean's 95% interval (Student's t with count - 1 degrees of freedom); NaN
  /// for fewer than two values.
  double half_width() const;
  /// `name` and `name`_interval.
  Metrics metrics(const std::string& name) const;

 private:
  double count_ = 0.0, sum_ = 0.0, squares_ = 0.0;
};

}  // namespace heed::recipes
