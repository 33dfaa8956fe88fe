// Where an element stands in a tensor, for messages.
#pragma once

#include "core/shape.h"

namespace heed::kernels {

/// The coordinates of row-major element `index`: "[1, 7]" of element 19 in shape [3, 12].
inline Shape position_of(int64_t index, const Shape& shape) {
  Shape position = shape;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    position[i] = index % shape[i];
    index /= shape[i];
  }
  return position;
}

}  // namespace heed::kernels
