#include "autograd/ops/fft.h"

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/view.h"
#include "autograd/trace.h"
#include "kernels/fft/fft.h"

namespace heed {
namespace {

// 1, 1 / sqrt(n) or 1 / n.
double scale_of(FftNorm norm, bool inverse, int64_t n) {
  if (norm == FftNorm::ortho) return 1.0 / std::sqrt(static_cast<double>(n));
  return inverse == (norm == FftNorm::backward) ? 1.0 / static_cast<double>(n) : 1.0;
}

// Elements along the given dimensions of a shape whose rank is `rank`.
int64_t elements(const Tensor& x, int rank, const std::vector<int>& dims) {
  int64_t count = 1;
  for (const int dim : dims) {
    HEED_CHECK(dim >= -rank && dim < rank, "fft: dimension {} of {}", dim, x);
    count *= x.size(dim < 0 ? dim + rank : dim);
  }
  return count;
}

Tensor wide(const Tensor& x) { return x.dtype() == DType::f64 ? x : cast(x, DType::f32); }

Tensor complex_transform(const char* name, const Tensor& in, const std::vector<int>& dims,
                         FftNorm norm, bool inverse) {
  const Tensor x = wide(in);
  const double scale = scale_of(norm, inverse, elements(x, x.rank() - 1, dims));
  const Tensor y = kernels::fft(x, dims, inverse, scale);
  if (trace::on())
    trace::report(name, {x}, {y}, {{"dims", dims}, {"inverse", inverse}, {"scale", scale}});
  return record(name, {x}, y, [dims, inverse, scale](const Tensor& dy) {
    return Gradients{kernels::fft(dy, dims, !inverse, scale)};
  });
}

}  // namespace

Tensor fftn(const Tensor& x, const std::vector<int>& dims, FftNorm norm) {
  return complex_transform("fftn", x, dims, norm, false);
}

Tensor ifftn(const Tensor& x, const std::vector<int>& dims, FftNorm norm) {
  return complex_transform("ifftn", x, dims, norm, true);
}

Tensor rfftn(const Tensor& in, const std::vector<int>& dims, FftNorm norm) {
  const Tensor x = wide(in);
  const double scale = scale_of(norm, false, elements(x, x.rank(), dims));
  const Tensor y = kernels::real_fft(x, dims, scale);
  const int64_t n = x.size(dims.back());
  // Each bin of y takes part once: half of what the inverse, which counts a pair twice, would give.
  if (trace::on()) trace::report("rfftn", {x}, {y}, {{"dims", dims}, {"scale", scale}});
  return record("rfftn", {x}, y, [dims, scale, n](const Tensor& dy) {
    const Tensor once = kernels::scale_paired_bins(dy, dims.back(), n, 0.5);
    return Gradients{kernels::real_fft_inverse(once, dims, n, scale)};
  });
}

Tensor irfftn(const Tensor& in, const std::vector<int>& dims, int64_t n, FftNorm norm) {
  const Tensor x = wide(in);
  HEED_CHECK(!dims.empty(), "irfft: no dimensions to transform");
  const int rank = x.rank() - 1;
  const int64_t others = elements(x, rank, std::vector<int>(dims.begin(), dims.end() - 1));
  const double scale = scale_of(norm, true, others * n);
  const Tensor y = kernels::real_fft_inverse(x, dims, n, scale);
  if (trace::on()) trace::report("irfftn", {x}, {y}, {{"dims", dims}, {"n", n}, {"scale", scale}});
  return record("irfftn", {x}, y, [dims, scale, n](const Tensor& dy) {
    return Gradients{
        kernels::scale_paired_bins(kernels::real_fft(dy, dims, scale), dims.back(), n, 2.0)};
  });
}

Tensor rfft(const Tensor& x, int dim, FftNorm norm) { return rfftn(x, {dim}, norm); }

Tensor irfft(const Tensor& x, int64_t n, int dim, FftNorm norm) {
  return irfftn(x, {dim}, n, norm);
}

Tensor complex_mul(const Tensor& a, const Tensor& b) {
  HEED_CHECK(a.rank() > 0 && b.rank() > 0 && a.size(-1) == 2 && b.size(-1) == 2,
             "complex_mul: complex numbers are a last dimension of 2, got {} and {}", a, b);
  const Tensor ar = select(a, -1, 0), ai = select(a, -1, 1);
  const Tensor br = select(b, -1, 0), bi = select(b, -1, 1);
  return stack({sub(mul(ar, br), mul(ai, bi)), add(mul(ar, bi), mul(ai, br))}, -1);
}

}  // namespace heed
