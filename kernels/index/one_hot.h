// Classes as unit vectors.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

/// ids [...] (i64 or i32) -> [..., classes] in `dtype` (floating): 1 at the id, 0 elsewhere. An id
/// outside [0, classes) is an error naming it and its position.
Tensor one_hot(const Tensor& ids, int64_t classes, DType dtype);

}  // namespace heed::kernels
