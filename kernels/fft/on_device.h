// Transforms on a device. Operands are those of fft.h, `axes` checked and not negative.
#pragma once

#include <vector>

#include "core/tensor.h"

namespace heed::kernels {

Tensor fft_on_device(const Tensor& x, const std::vector<int>& axes, bool inverse, double scale);
Tensor real_fft_on_device(const Tensor& x, const std::vector<int>& axes, double scale);
Tensor real_fft_inverse_on_device(const Tensor& x, const std::vector<int>& axes, int64_t n,
                                  double scale);

}  // namespace heed::kernels
