// Dropout: the mask is a function of (key, element), drawn again wherever it is needed.
#pragma once

#include "core/random.h"
#include "core/tensor.h"

namespace heed::kernels {

/// x / (1 - p) where the element is kept, else 0: element i of row b (x's first dimension) is kept
/// when word i of the stream of key.derive(place.first_row + b) is at least p * 2^32. So a row's
/// mask depends neither on the rows beside it nor on how wide they are padded. Row-major result in
/// x's dtype (floating). The gradient is the same function of dy. What lies elsewhere in a larger
/// tensor (`place`) is dropped as it would be there.
Tensor dropout(const Tensor& x, double p, const RandomKey& key, const DrawPlace& place = {});

}  // namespace heed::kernels
