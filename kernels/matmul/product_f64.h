// f64 products for checks, on the calling thread.
#pragma once

#include "kernels/matmul/onednn.h"

namespace heed::kernels {

struct ProductSize {
  int64_t m, n, k;
};

/// c (+)= a b + bias in double precision; every element is summed in the order of k.
void product_f64(ProductSize size, const double* a, MatrixLayout la, const double* b,
                 MatrixLayout lb, double* c, int64_t ldc, bool accumulate, const double* bias);

}  // namespace heed::kernels
