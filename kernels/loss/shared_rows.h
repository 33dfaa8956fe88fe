// What shared_cross_entropy.cpp's SIMD functions and shared_cross_entropy.cu work on: rows of this
// rank's logits, of type T (f32, f64); gradients are T or bf16.
#pragma once

#include <cstdint>

#include "core/element.h"
#include "kernels/device_kernel.h"

namespace heed::kernels {

/// What a rank tells of a row.
template <class T>
struct RowFacts {
  T largest, sum, target, total;
};

struct SharedRows {
  DType dtype, gradient_dtype;
  int64_t classes;
  const int64_t* targets;  ///< among this rank's classes; outside where another has it
  const uint8_t* counted;  ///< rows
  void* logits;            ///< [M, V]
  void* facts;             ///< [M] RowFacts
  const void* factors;     ///< [M]: of e^(x - largest) in the gradient
  double base, at_target;  ///< what is taken off everywhere, and at the target
  void* gradient;          ///< [M, V]; null: the facts are wanted
};

extern DeviceKernel<void(const SharedRows&, int64_t rows)> shared_rows_cuda;

}  // namespace heed::kernels
