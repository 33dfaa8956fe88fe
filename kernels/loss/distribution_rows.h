// What distribution.cpp's SIMD functions work on.
#pragma once

#include "core/dtype.h"
#include "kernels/loss/distribution.h"

namespace heed::kernels {

struct DistributionRows {
  RowLoss kind;
  DType dtype;
  int64_t classes;
  double parameter;
  const void *logits, *targets;  ///< dtype; targets null for z
  void* losses;                  ///< accumulation type; null in the backward pass
  const void* scales;            ///< accumulation type; null in the forward pass
  void* gradient;                ///< dtype; null in the forward pass
};

}  // namespace heed::kernels
