// What adafactor.cu works on: a parameter as a matrix [height, width] (one row below two
// dimensions, where `moment` takes the place of rows and columns).
#pragma once

#include <cstdint>

#include "core/element.h"
#include "kernels/device_kernel.h"

namespace heed::kernels {

struct DeviceAdafactor {
  DType dtype;  ///< of parameter and gradient
  int64_t height, width;
  double rate;  ///< 1 - beta2
  double grad_scale, lr, weight_decay;
  double tiny, least_scale;  ///< added to squares; of a parameter's rms
  void* parameter;
  const void* gradient;
  void *rows, *cols;  ///< accumulation type; null below two dimensions
  void* moment;       ///< accumulation type; null from two dimensions on
  /// Scratch: factors of rows [height] and columns [width], squares of the direction and of the
  /// parameter by row [height] each, the mean of `rows` and the step's scale.
  double *of_row, *of_col, *squares, *sizes, *mean_of_rows, *scale;
};
extern DeviceKernel<void(const DeviceAdafactor&)> adafactor_cuda;

/// Units of `width` elements: gradient *= min(1, factor max(|p|, eps) / |gradient|).
struct DeviceUnits {
  DType parameter_dtype, gradient_dtype;
  int64_t units, width;
  double factor, eps;
  const void* parameter;
  void* gradient;
};
extern DeviceKernel<void(const DeviceUnits&)> clip_units_cuda;

}  // namespace heed::kernels
