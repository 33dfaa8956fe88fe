// What a library's products on a device work on (kernels/cuda/library_cublaslt.cpp).
#pragma once

#include "kernels/device_kernel.h"
#include "kernels/matmul/activation.h"
#include "kernels/matmul/onednn.h"

namespace heed::kernels {

/// c (+)= a b, `batch` times with the strides given (elements; 0 repeats an operand).
struct DeviceProduct {
  DType in, out;
  int64_t m, n, k;
  MatrixLayout a, b;
  int64_t ldc;
  int64_t batch, a_stride, b_stride, c_stride;
  const void *a_data, *b_data;
  void* c_data;
  bool accumulate;

  // What follows, of products without accumulation; see can_follow().
  const void* bias;       ///< [n] of `out`'s type, or null
  Activation activation;  ///< none, relu or gelu_tanh
  void* before;           ///< receives what the activation is applied to, or null; like c
};

/// Whether a product can end with this: bias or activation in f32 and bf16, the value before the
/// activation beside gelu_tanh alone (the library keeps no more of relu than its sign).
inline bool can_follow(DType dtype, Activation activation, bool keeps_before) {
  if (dtype == DType::f64) return false;
  return activation == Activation::none || activation == Activation::gelu_tanh ||
         (activation == Activation::relu && !keeps_before);
}

/// False, with nothing done, when the library has no kernel for what follows the product.
extern DeviceKernel<bool(const DeviceProduct&)> product_cuda;

}  // namespace heed::kernels
