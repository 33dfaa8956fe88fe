// How a loss of many elements becomes one number.
#pragma once

namespace heed {

enum class Reduction {
  mean,  ///< over the elements (or rows) that count
  sum,
  none,  ///< each element's (or row's) loss
};

}  // namespace heed
