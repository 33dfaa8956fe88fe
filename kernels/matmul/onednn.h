// One product on the calling thread, by oneDNN.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace heed::kernels {

/// A matrix in memory with one unit stride: `ld` is the other. transposed: element (r, c) is at c *
/// ld + r.
struct MatrixLayout {
  int64_t ld = 0;
  bool transposed = false;
  bool operator==(const MatrixLayout&) const = default;
};

struct Product {
  int64_t m = 0, n = 0, k = 0;
  DType in = DType::f32;   // f32 or bf16
  DType out = DType::f32;  // f32, or bf16 for bf16 operands
  MatrixLayout a, b;
  int64_t ldc = 0;
  bool accumulate = false;
  bool bias = false;  // f32 [n]
  bool operator==(const Product&) const = default;
};

/// c (+)= a b + bias. The code for a Product is generated once and cached per thread.
void product_onednn(const Product& product, const void* a, const void* b, void* c,
                    const float* bias);

}  // namespace heed::kernels
