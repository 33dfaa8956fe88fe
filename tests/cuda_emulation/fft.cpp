// Transforms of the vendor's library, dimension by dimension by the definition.
#include <cmath>
#include <complex>
#include <limits>
#include <numbers>
#include <vector>

#include "cuda_runtime.h"
#include "kernels/cuda/provide.h"
#include "kernels/fft/device_fft.h"

namespace heed::kernels::cuda {
namespace {

using Complex = std::complex<double>;
using Numbers = std::vector<Complex>;

// Along the middle of [outer, n, inner].
void transform(Numbers& x, int64_t outer, int64_t n, int64_t inner, bool inverse) {
  Numbers line(static_cast<size_t>(n));
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) {
      const auto at = [&](int64_t k) { return static_cast<size_t>((o * n + k) * inner + i); };
      for (int64_t k = 0; k < n; ++k) {
        Complex sum = 0;
        for (int64_t j = 0; j < n; ++j) {
          const double turn = static_cast<double>(j * k % n) / static_cast<double>(n);
          sum += x[at(j)] * std::polar(1.0, (inverse ? 2.0 : -2.0) * std::numbers::pi * turn);
        }
        line[static_cast<size_t>(k)] = sum;
      }
      for (int64_t k = 0; k < n; ++k) x[at(k)] = line[static_cast<size_t>(k)];
    }
  }
}

// All of a transform's complex numbers; of a real inverse the whole spectrum. Where that is not of
// real numbers the library promises nothing.
template <class T>
Numbers read(const DeviceFft& f, int64_t count) {
  const T* in = static_cast<const T*>(f.in);
  Numbers x(static_cast<size_t>(count));
  if (f.kind == DeviceFftKind::real) {
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(in[i]);
    return x;
  }
  if (f.kind != DeviceFftKind::real_inverse) {
    for (size_t i = 0; i < x.size(); ++i) x[i] = {in[2 * i], in[2 * i + 1]};
    return x;
  }
  const int64_t n = f.n[0], half = n / 2 + 1;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t k = i % n, bin = k < half ? k : n - k;
    const T* from = in + 2 * (i / n * half + bin);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const bool real = k == 0 || 2 * k == n;
    x[static_cast<size_t>(i)] = {real && from[1] != 0 ? nan : double{from[0]},
                                 k < half ? double{from[1]} : -double{from[1]}};
  }
  return x;
}

template <class T>
void write(const DeviceFft& f, const Numbers& x) {
  T* out = static_cast<T*>(f.out);
  const int64_t n = f.n[f.rank - 1], half = n / 2 + 1;
  for (size_t i = 0; i < x.size(); ++i) {
    if (f.kind == DeviceFftKind::real_inverse) {
      out[i] = static_cast<T>(x[i].real());
      continue;
    }
    auto to = static_cast<int64_t>(i);
    if (f.kind == DeviceFftKind::real) {
      if (to % n >= half) continue;
      to = to / n * half + to % n;
    }
    out[2 * to] = static_cast<T>(x[i].real());
    out[2 * to + 1] = static_cast<T>(x[i].imag());
  }
}

template <class T>
void run_of(const DeviceFft& f) {
  int64_t count = f.batch;
  for (int i = 0; i < f.rank; ++i) count *= f.n[i];
  Numbers x = read<T>(f, count);
  const bool inverse = f.kind == DeviceFftKind::inverse || f.kind == DeviceFftKind::real_inverse;
  int64_t outer = f.batch, inner = count / f.batch;
  for (int i = 0; i < f.rank; ++i) {
    inner /= f.n[i];
    transform(x, outer, f.n[i], inner, inverse);
    outer *= f.n[i];
  }
  write<T>(f, x);
}

void run(const DeviceFft& f) {
  const emulation::DeviceAccess access;
  f.dtype == DType::f64 ? run_of<double>(f) : run_of<float>(f);
}

}  // namespace

void provide_fft() { fft_cuda.provide(run); }

}  // namespace heed::kernels::cuda
