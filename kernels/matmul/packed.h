// Large f32 products in registers of our own: both operands packed once, results in 14 x 32 blocks.
#pragma once

#include <cstdint>

#include "kernels/matmul/activation.h"
#include "kernels/matmul/onednn.h"

namespace heed::kernels {

/// One product of f32 matrices, on all threads: c (+)= a b + bias, then `activated` =
/// activation(c) (which may be c itself). Sums run over k in one fixed order, whatever the number
/// of threads.
struct PackedProduct {
  int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;
  const float* b = nullptr;
  float* c = nullptr;
  int64_t lda = 0;  ///< of a's rows
  MatrixLayout lb;
  int64_t ldc = 0;
  bool accumulate = false;
  const float* bias = nullptr;  ///< [n] or none
  Activation activation = Activation::none;
  float* activated = nullptr;
  int64_t ld_activated = 0;
};

/// Whether packed_product is the faster way: a lies in rows, the machine has 32 vector registers of
/// 16 floats, and the product is large enough to pay for packing. (Where a is transposed, as for
/// the gradient of a weight, packing it costs a little more than oneDNN's own way.)
bool packed_pays(int64_t m, int64_t n, int64_t k, MatrixLayout la);

void packed_product(const PackedProduct& p);

}  // namespace heed::kernels
