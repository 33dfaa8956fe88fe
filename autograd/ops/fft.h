// Differentiable discrete Fourier transforms. A complex tensor has a trailing dimension of 2, the
// real and the imaginary part; `dims` count without it and may be negative. bf16 is transformed in
// f32, and so are results. The gradient of a complex tensor is that of its parts.
#pragma once

#include <vector>

#include "autograd/tape.h"

namespace heed {

/// Where the factor 1 / n goes (n the elements transformed): to the backward transform, as
/// 1 / sqrt(n) to both, or to the forward one.
enum class FftNorm { backward, ortho, forward };

/// X_k = sum_j x_j e^(-2 pi i j k / n) over every one of `dims`, and back: [..., 2] -> the same.
Tensor fftn(const Tensor& x, const std::vector<int>& dims, FftNorm norm = FftNorm::backward);
Tensor ifftn(const Tensor& x, const std::vector<int>& dims, FftNorm norm = FftNorm::backward);

/// Of a real tensor: the elements that determine the others, [..., n / 2 + 1, ..., 2] along the
/// last of `dims`.
Tensor rfftn(const Tensor& x, const std::vector<int>& dims, FftNorm norm = FftNorm::backward);
/// Back to a real tensor with `n` elements along the last of `dims`, where x must have n / 2 + 1.
/// The imaginary parts of its element 0 (and n / 2, for an even n) there, which the spectrum of a
/// real tensor lacks, are ignored.
Tensor irfftn(const Tensor& x, const std::vector<int>& dims, int64_t n,
              FftNorm norm = FftNorm::backward);

/// Along one dimension.
Tensor rfft(const Tensor& x, int dim = -1, FftNorm norm = FftNorm::backward);
Tensor irfft(const Tensor& x, int64_t n, int dim = -1, FftNorm norm = FftNorm::backward);

/// The product of complex numbers, [..., 2] each; broadcast.
Tensor complex_mul(const Tensor& a, const Tensor& b);

}  // namespace heed
