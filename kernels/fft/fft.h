// Discrete Fourier transforms over given axes. A complex tensor has a trailing dimension of 2, the
// real and the imaginary part; `dims` never name it.
//
//   X_k = scale sum_j x_j e^(-2 pi i j k / n)        inverse: e^(+2 pi i j k / n)
//
// O(n log n) for every length, primes included. Each 64 bytes of lines are transformed together,
// one line a lane; f32 and f64.
#pragma once

#include <vector>

#include "core/tensor.h"

namespace heed::kernels {

/// x [..., 2] -> the same shape, over `dims`.
Tensor fft(const Tensor& x, const std::vector<int>& dims, bool inverse, double scale);

/// Real x -> the first half of its spectrum, [..., 2], n / 2 + 1 elements along the last of `dims`.
Tensor real_fft(const Tensor& x, const std::vector<int>& dims, double scale);

/// The inverse of real_fft, from half a spectrum [..., n / 2 + 1, ..., 2]: real, with `n` elements
/// along the last of `dims`. The imaginary part of what should be real is ignored.
Tensor real_fft_inverse(const Tensor& x, const std::vector<int>& dims, int64_t n, double scale);

/// Half a spectrum x whose last transformed dimension `dim` stands for n elements, with the bins
/// that stand for two times `factor`: those but 0 and, for an even n, n / 2.
Tensor scale_paired_bins(const Tensor& x, int dim, int64_t n, double factor);

}  // namespace heed::kernels
