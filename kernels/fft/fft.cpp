#include "kernels/fft/fft.h"

#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/fft/lines.h"

namespace heed::kernels {
namespace {

// The lines along one axis of a row-major tensor: line l = (o, i) has elements at
// (o n + k) inner + i, k < n.
struct Axis {
  int64_t outer, n, inner;

  Axis(const Shape& shape, int dim) : outer(1), n(shape[dim]), inner(1) {
    for (int d = 0; d < dim; ++d) outer *= shape[d];
    for (int d = dim + 1; d < shape.rank(); ++d) inner *= shape[d];
  }
  int64_t lines() const { return outer * inner; }
  int64_t start(int64_t line, int64_t length) const {
    return line / inner * length * inner + line % inner;
  }
};

// Calls fn(FftLines, first line, lines) for all of them, in groups of lanes.
template <class T, class Fn>
void for_groups(const FftPlan& plan, int64_t lines, Fn&& fn) {
  constexpr int64_t kLanes = FftLines<T>::kLanes;
  const int64_t groups = (lines + kLanes - 1) / kLanes;
  // Enough groups a chunk to make up for the allocation of its buffers.
  const int64_t grain = std::max<int64_t>(1, 4096 / plan.n);
  parallel_for(groups, grain, [&](int64_t begin, int64_t end) {
    FftLines<T> buffers(plan);
    for (int64_t group = begin; group < end; ++group) {
      fn(buffers, group * kLanes, std::min(kLanes, lines - group * kLanes));
    }
  });
}

// Elements of one line of complex numbers, `stride` apart.
template <class T>
struct ComplexLine {
  T* data;
  int64_t stride;

  T& re(int64_t k) const { return data[2 * k * stride]; }
  T& im(int64_t k) const { return data[2 * k * stride + 1]; }
};

// y = scale times the transform of x along one axis; y may be x.
template <class T>
void complex_axis(const T* x, T* y, const Axis& axis, bool inverse, T scale) {
  const auto plan = fft_plan(axis.n);
  for_groups<T>(*plan, axis.lines(), [&](FftLines<T>& buffer, int64_t first, int64_t count) {
    for (int64_t l = 0; l < count; ++l) {
      const ComplexLine<const T> line{x + 2 * axis.start(first + l, axis.n), axis.inner};
      for (int64_t k = 0; k < axis.n; ++k) {
        buffer.re(k)[l] = line.re(k);
        buffer.im(k)[l] = line.im(k);
      }
    }
    if (inverse) buffer.exchange();
    buffer.transform();
    if (inverse) buffer.exchange();
    for (int64_t l = 0; l < count; ++l) {
      const ComplexLine<T> line{y + 2 * axis.start(first + l, axis.n), axis.inner};
      for (int64_t k = 0; k < axis.n; ++k) {
        line.re(k) = scale * buffer.re(k)[l];
        line.im(k) = scale * buffer.im(k)[l];
      }
    }
  });
}

// Real lines of n, an even number, are transformed as complex ones of half the length:
//   z_j = x_2j + i x_(2j+1),   X_k = (Z_k + Z*_(m-k)) / 2 - i w^k (Z_k - Z*_(m-k)) / 2,   m = n / 2
template <class T>
void real_axis(const T* x, T* y, const Axis& axis, T scale) {
  const int64_t n = axis.n, half = n / 2 + 1;
  const bool even = n % 2 == 0;
  const auto whole = fft_plan(n), plan = even ? fft_plan(n / 2) : whole;
  for_groups<T>(*plan, axis.lines(), [&](FftLines<T>& buffer, int64_t first, int64_t count) {
    for (int64_t l = 0; l < count; ++l) {
      const T* line = x + axis.start(first + l, n);
      for (int64_t k = 0; k < plan->n; ++k) {
        buffer.re(k)[l] = line[(even ? 2 * k : k) * axis.inner];
        buffer.im(k)[l] = even ? line[(2 * k + 1) * axis.inner] : T(0);
      }
    }
    buffer.transform();
    for (int64_t l = 0; l < count; ++l) {
      const ComplexLine<T> line{y + 2 * axis.start(first + l, half), axis.inner};
      if (!even) {
        for (int64_t k = 0; k < half; ++k) {
          line.re(k) = scale * buffer.re(k)[l];
          line.im(k) = scale * buffer.im(k)[l];
        }
        line.im(0) = T(0);
        continue;
      }
      for (int64_t k = 0; k < half; ++k) {
        const int64_t a = k % plan->n, b = (plan->n - k) % plan->n;
        const T ar = buffer.re(a)[l], ai = buffer.im(a)[l];
        const T br = buffer.re(b)[l], bi = -buffer.im(b)[l];
        const T gr = ar - br, gi = ai - bi;
        const auto root = static_cast<size_t>(k);
        const T wr = k < n / 2 ? static_cast<T>(whole->root_re[root]) : T(-1);
        const T wi = k < n / 2 ? static_cast<T>(whole->root_im[root]) : T(0);
        line.re(k) = scale * T(0.5) * (ar + br + (wr * gi + wi * gr));
        line.im(k) = scale * T(0.5) * (ai + bi - (wr * gr - wi * gi));
      }
      line.im(0) = line.im(n / 2) = T(0);
    }
  });
}

// Back, by Z_k = X_k + X*_(m-k) + i w^(-k) (X_k - X*_(m-k)).
template <class T>
void real_axis_inverse(const T* x, T* y, const Axis& axis, T scale) {
  const int64_t n = axis.n, half = n / 2 + 1;
  const bool even = n % 2 == 0;
  const auto whole = fft_plan(n), plan = even ? fft_plan(n / 2) : whole;
  for_groups<T>(*plan, axis.lines(), [&](FftLines<T>& buffer, int64_t first, int64_t count) {
    for (int64_t l = 0; l < count; ++l) {
      const ComplexLine<const T> line{x + 2 * axis.start(first + l, half), axis.inner};
      const auto imaginary = [&](int64_t k) { return k == 0 || 2 * k == n ? T(0) : line.im(k); };
      if (!even) {
        for (int64_t k = 0; k < n; ++k) {
          const int64_t own = std::min(k, n - k);
          buffer.re(k)[l] = line.re(own);
          buffer.im(k)[l] = k < half ? imaginary(own) : -imaginary(own);
        }
        continue;
      }
      for (int64_t k = 0; k < plan->n; ++k) {
        const T ar = line.re(k), ai = imaginary(k);
        const T br = line.re(plan->n - k), bi = -imaginary(plan->n - k);
        const T gr = ar - br, gi = ai - bi;
        const auto root = static_cast<size_t>(k);
        const T wr = static_cast<T>(whole->root_re[root]);
        const T wi = -static_cast<T>(whole->root_im[root]);
        buffer.re(k)[l] = ar + br - (wr * gi + wi * gr);
        buffer.im(k)[l] = ai + bi + (wr * gr - wi * gi);
      }
    }
    buffer.exchange();
    buffer.transform();
    buffer.exchange();
    for (int64_t l = 0; l < count; ++l) {
      T* line = y + axis.start(first + l, n);
      for (int64_t k = 0; k < plan->n; ++k) {
        line[(even ? 2 * k : k) * axis.inner] = scale * buffer.re(k)[l];
        if (even) line[(2 * k + 1) * axis.inner] = scale * buffer.im(k)[l];
      }
    }
  });
}

// `dims` without negative numbers, of a shape without the trailing 2; each at most once.
std::vector<int> checked_dims(const char* op, const Shape& shape, const std::vector<int>& dims) {
  HEED_CHECK(!dims.empty(), "{}: no dimensions to transform", op);
  std::vector<int> checked;
  for (const int dim : dims) {
    const int own = shape.dim_index(dim, op);
    HEED_CHECK(std::find(checked.begin(), checked.end(), own) == checked.end(),
               "{}: dimension {} is named twice", op, own);
    HEED_CHECK(shape[own] > 0, "{}: nothing along dimension {} of {}", op, own, shape.to_string());
    checked.push_back(own);
  }
  return checked;
}

Shape without_pairs(const char* op, const Tensor& x) {
  HEED_CHECK(x.rank() >= 2 && x.size(-1) == 2,
             "{}: complex numbers are a last dimension of 2, got {}", op, x);
  Shape shape;
  for (int d = 0; d < x.rank() - 1; ++d) shape.push_back(x.size(d));
  return shape;
}

Shape paired(Shape shape) {
  shape.push_back(2);
  return shape;
}

// Transforms the complex `y` of that shape in place along all but the last of `dims`.
template <class T>
void other_axes(T* y, const Shape& shape, const std::vector<int>& dims, bool inverse) {
  for (size_t i = 0; i + 1 < dims.size(); ++i) {
    complex_axis<T>(y, y, Axis(shape, dims[i]), inverse, T(1));
  }
}

}  // namespace

Tensor fft(const Tensor& x, const std::vector<int>& dims, bool inverse, double scale) {
  const Shape shape = without_pairs("fft", x);
  const std::vector<int> axes = checked_dims("fft", shape, dims);
  const Tensor y = Tensor::empty(x.shape(), x.dtype());
  const Tensor in = contiguous(x);
  dispatch_floating(x.dtype(), "fft", [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
      complex_axis<T>(in.data<T>(), y.data<T>(), Axis(shape, axes.back()), inverse,
                      static_cast<T>(scale));
      other_axes<T>(y.data<T>(), shape, axes, inverse);
    } else {
      fail("fft: transforms f32 or f64, got {}", x);
    }
  });
  return y;
}

Tensor real_fft(const Tensor& x, const std::vector<int>& dims, double scale) {
  const std::vector<int> axes = checked_dims("rfft", x.shape(), dims);
  Shape shape = x.shape();
  shape[axes.back()] = x.size(axes.back()) / 2 + 1;
  const Tensor y = Tensor::empty(paired(shape), x.dtype());
  const Tensor in = contiguous(x);
  dispatch_floating(x.dtype(), "rfft", [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
      real_axis<T>(in.data<T>(), y.data<T>(), Axis(x.shape(), axes.back()), static_cast<T>(scale));
      other_axes<T>(y.data<T>(), shape, axes, false);
    } else {
      fail("rfft: transforms f32 or f64, got {}", x);
    }
  });
  return y;
}

Tensor real_fft_inverse(const Tensor& x, const std::vector<int>& dims, int64_t n, double scale) {
  const Shape spectrum = without_pairs("irfft", x);
  const std::vector<int> axes = checked_dims("irfft", spectrum, dims);
  HEED_CHECK(n > 0 && spectrum[axes.back()] == n / 2 + 1,
             "irfft: {} elements come from a spectrum of {}, but dimension {} of {} has {}", n,
             n / 2 + 1, axes.back(), x, spectrum[axes.back()]);
  Shape shape = spectrum;
  shape[axes.back()] = n;
  const Tensor y = Tensor::empty(shape, x.dtype());
  Tensor in = contiguous(x);
  if (axes.size() > 1) {
    in = Tensor::empty(x.shape(), x.dtype());
    copy(x, in);
  }
  dispatch_floating(x.dtype(), "irfft", [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
      other_axes<T>(in.data<T>(), spectrum, axes, true);
      real_axis_inverse<T>(in.data<T>(), y.data<T>(), Axis(shape, axes.back()),
                           static_cast<T>(scale));
    } else {
      fail("irfft: transforms f32 or f64, got {}", x);
    }
  });
  return y;
}

Tensor scale_paired_bins(const Tensor& x, int dim, int64_t n, double factor) {
  const Tensor y = Tensor::empty(x.shape(), x.dtype());
  copy(x, y);
  const Axis axis(x.shape(), without_pairs("fft", x).dim_index(dim, "fft"));
  dispatch_floating(x.dtype(), "fft", [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
      T* data = y.data<T>();
      const int64_t last = (n - 1) / 2;
      parallel_for(axis.outer, std::max<int64_t>(1, 16384 / (axis.n * axis.inner)),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t o = begin; o < end; ++o) {
                       T* bins = data + (o * axis.n + 1) * axis.inner;
                       for (int64_t i = 0; i < last * axis.inner; ++i) {
                         bins[i] *= static_cast<T>(factor);
                       }
                     }
                   });
    } else {
      fail("fft: transforms f32 or f64, got {}", x);
    }
  });
  return y;
}

}  // namespace heed::kernels
