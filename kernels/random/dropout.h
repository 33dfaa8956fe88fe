// Dropout: the mask is a function of (key, element), drawn again wherever it is needed.
#pragma once

#include "core/random.h"
#include "core/tensor.h"

namespace heed::kernels {

/// x / (1 - p) where the element is kept, else 0: element i (row-major) is kept when word first + i
/// of the key's stream is at least p * 2^32. Row-major result in x's dtype (floating). The gradient
/// is the same function of dy.
Tensor dropout(const Tensor& x, double p, const RandomKey& key, uint64_t first = 0);

}  // namespace heed::kernels
