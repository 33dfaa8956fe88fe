// What gram_solve.cu works on: rows of systems, all (batch, head) and rows of them one after
// another. Pointers are of the dtype (f32, f64) but where they say otherwise.
#pragma once

#include <cstdint>

#include "core/element.h"
#include "kernels/device_kernel.h"

namespace heed::kernels {

struct GramExtents {
  DType dtype;
  int64_t rows, keys, dim;
};

/// The state of the conjugate gradients of each row. A row's right side is scaled by 2^-exponent.
struct GramState {
  GramExtents e;
  double least;  ///< a row is done when |r| is at most this times |y|
  double ridge;
  const void *y, *centre;  ///< [rows, dim]; centre null for 0
  void *x, *r, *p, *ap;    ///< [rows, dim]
  void *norm, *enough;     ///< [rows]: r.r, and where it is small enough
  void* sums;              ///< [rows]: of a row's weighed pairs; null without a centre
  int32_t* exponent;       ///< [rows]
  /// [rows]: 0 done, 1 at work, 2 a right side that is not finite, 3 not positive definite
  int32_t* status;
  void* curvature;  ///< [rows]: p.Ap of those that are not
};
extern DeviceKernel<void(const GramState&)> gram_start_cuda;
/// ap, which holds T k, becomes A p; then a step of the rows at work.
extern DeviceKernel<void(const GramState&)> gram_step_cuda;
extern DeviceKernel<void(const GramState&)> gram_finish_cuda;

/// pairs[i, j] = weights[i, j] (pairs[i, j] - x_i.centre_i), and the sums of rows; weights of 1
/// where null, no centre and no sums where null.
struct GramPairs {
  GramExtents e;
  const void *weights, *x, *centre;
  void *pairs, *sums;
};
extern DeviceKernel<void(const GramPairs&)> gram_weigh_cuda;

/// dw = -a b; a and b become -w a and -w b; dc = -(sum b x + sum a u).
struct GramSlopes {
  GramExtents e;
  const void *weights, *x, *u;
  void *a, *b, *dw;
  void* dc;  ///< or null
};
extern DeviceKernel<void(const GramSlopes&)> gram_slopes_cuda;

}  // namespace heed::kernels
