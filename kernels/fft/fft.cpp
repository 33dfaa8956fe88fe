#include "kernels/fft/fft.h"

#include <algorithm>

#include "core/parallel.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/binary.h"
#include "kernels/fft/lanes.h"
#include "kernels/fft/lines.h"
#include "kernels/fft/on_device.h"

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

// Lines [first, first + count) of a tensor of `inner`-strided lines, each of `columns` numbers: n
// real ones, or the parts of n / 2 complex ones side by side.
struct Group {
  int64_t first, count, columns, inner;
  bool complex;

  // Where column c of the l-th line lies.
  int64_t at(int64_t l, int64_t c) const {
    const int64_t line = first + l, outer = line / inner * inner * columns;
    if (complex) return outer + 2 * (c / 2 * inner + line % inner) + c % 2;
    return outer + c * inner + line % inner;
  }
  // Whether the lines are neighbours in memory, column by column.
  bool side_by_side() const { return first % inner + count <= inner; }
};

// lanes[c][l] = column c of line l.
template <class T>
void load(const T* x, const Group& g, T* lanes) {
  constexpr int64_t kLanes = FftLines<T>::kLanes;
  if constexpr (std::is_same_v<T, float>) {
    if (g.count == kLanes && g.inner == 1)
      return rows_to_lanes(x + g.at(0, 0), g.columns, g.columns, lanes);
    if (g.count == kLanes && g.side_by_side()) {
      if (g.complex) return pairs_to_lanes(x + g.at(0, 0), 2 * g.inner, g.columns / 2, lanes);
      return vectors_to_lanes(x + g.at(0, 0), g.inner, g.columns, lanes);
    }
  }
  if (g.count < kLanes) std::fill_n(lanes, g.columns * kLanes, T(0));
  for (int64_t l = 0; l < g.count; ++l)
    for (int64_t c = 0; c < g.columns; ++c) lanes[c * kLanes + l] = x[g.at(l, c)];
}

template <class T>
void store(const T* lanes, const Group& g, T* x) {
  constexpr int64_t kLanes = FftLines<T>::kLanes;
  if constexpr (std::is_same_v<T, float>) {
    if (g.count == kLanes && g.inner == 1)
      return lanes_to_rows(lanes, g.columns, x + g.at(0, 0), g.columns);
    if (g.count == kLanes && g.side_by_side()) {
      if (g.complex) return lanes_to_pairs(lanes, g.columns / 2, x + g.at(0, 0), 2 * g.inner);
      return lanes_to_vectors(lanes, g.columns, x + g.at(0, 0), g.inner);
    }
  }
  for (int64_t l = 0; l < g.count; ++l)
    for (int64_t c = 0; c < g.columns; ++c) x[g.at(l, c)] = lanes[c * kLanes + l];
}

// y = scale times the transform of x along one axis; y may be x.
template <class T>
void complex_axis(const T* x, T* y, const Axis& axis, bool inverse, T scale) {
  const auto plan = fft_plan(axis.n);
  for_groups<T>(*plan, axis.lines(), [&](FftLines<T>& buffer, int64_t first, int64_t count) {
    const Group group{first, count, 2 * axis.n, axis.inner, true};
    load(x, group, buffer.data());
    if (inverse) buffer.exchange();
    buffer.transform();
    if (inverse) buffer.exchange();
    if (scale != T(1)) buffer.scale(scale);
    store(buffer.data(), group, y);
  });
}

// Real lines of n, an even number, are transformed as complex ones of half the length.
template <class T>
void real_axis(const T* x, T* y, const Axis& axis, T scale) {
  constexpr int64_t kLanes = FftLines<T>::kLanes;
  const int64_t n = axis.n, half = n / 2 + 1;
  const bool even = n % 2 == 0;
  const auto whole = fft_plan(n), plan = even ? fft_plan(n / 2) : whole;
  for_groups<T>(*plan, axis.lines(), [&](FftLines<T>& buffer, int64_t first, int64_t count) {
    const Group from{first, count, n, axis.inner, false};
    const Group to{first, count, 2 * half, axis.inner, true};
    load(x, from, buffer.data());
    if (even) {
      buffer.transform();
      buffer.split_real(*whole, scale);
      return store(buffer.data(), to, y);
    }
    for (int64_t k = n - 1; k >= 0; --k) {  // the loaded lanes, spread to every other place
      std::copy_n(buffer.data() + k * kLanes, kLanes, buffer.re(k));
      std::fill_n(buffer.im(k), kLanes, T(0));
    }
    buffer.transform();
    buffer.scale(scale);
    std::fill_n(buffer.im(0), kLanes, T(0));
    store(buffer.data(), to, y);
  });
}

template <class T>
void real_axis_inverse(const T* x, T* y, const Axis& axis, T scale) {
  constexpr int64_t kLanes = FftLines<T>::kLanes;
  const int64_t n = axis.n, half = n / 2 + 1;
  const bool even = n % 2 == 0;
  const auto whole = fft_plan(n), plan = even ? fft_plan(n / 2) : whole;
  for_groups<T>(*plan, axis.lines(), [&](FftLines<T>& buffer, int64_t first, int64_t count) {
    const Group from{first, count, 2 * half, axis.inner, true};
    const Group to{first, count, n, axis.inner, false};
    load(x, from, buffer.data());
    if (even) {
      buffer.join_real(*whole);
    } else {
      std::fill_n(buffer.im(0), kLanes, T(0));
      for (int64_t k = half; k < n; ++k) {
        std::copy_n(buffer.re(n - k), kLanes, buffer.re(k));
        std::transform(buffer.im(n - k), buffer.im(n - k) + kLanes, buffer.im(k),
                       [](T value) { return -value; });
      }
    }
    buffer.exchange();
    buffer.transform();
    buffer.exchange();
    if (scale != T(1)) buffer.scale(scale);
    if (!even)
      for (int64_t k = 1; k < n; ++k) std::copy_n(buffer.re(k), kLanes, buffer.data() + k * kLanes);
    store(buffer.data(), to, y);
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

void check_dtype(const char* op, const Tensor& x) {
  HEED_CHECK(x.dtype() == DType::f32 || x.dtype() == DType::f64,
             "{}: transforms f32 or f64, got {}", op, x);
}

// Calls fn(T{}) with the dtype of x, which was checked.
template <class Fn>
void dispatch(const Tensor& x, Fn fn) {
  x.dtype() == DType::f64 ? fn(double{}) : fn(float{});
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
  check_dtype("fft", x);
  const Shape shape = without_pairs("fft", x);
  const std::vector<int> axes = checked_dims("fft", shape, dims);
  if (x.device().is_cuda()) return fft_on_device(x, axes, inverse, scale);
  require_cpu(x.device(), "fft");
  const Tensor y = Tensor::empty(x.shape(), x.dtype());
  const Tensor in = contiguous(x);
  dispatch(x, [&](auto tag) {
    using T = decltype(tag);
    complex_axis<T>(in.data<T>(), y.data<T>(), Axis(shape, axes.back()), inverse,
                    static_cast<T>(scale));
    other_axes<T>(y.data<T>(), shape, axes, inverse);
  });
  return y;
}

Tensor real_fft(const Tensor& x, const std::vector<int>& dims, double scale) {
  check_dtype("rfft", x);
  const std::vector<int> axes = checked_dims("rfft", x.shape(), dims);
  if (x.device().is_cuda()) return real_fft_on_device(x, axes, scale);
  require_cpu(x.device(), "fft");
  Shape shape = x.shape();
  shape[axes.back()] = x.size(axes.back()) / 2 + 1;
  const Tensor y = Tensor::empty(paired(shape), x.dtype());
  const Tensor in = contiguous(x);
  dispatch(x, [&](auto tag) {
    using T = decltype(tag);
    real_axis<T>(in.data<T>(), y.data<T>(), Axis(x.shape(), axes.back()), static_cast<T>(scale));
    other_axes<T>(y.data<T>(), shape, axes, false);
  });
  return y;
}

Tensor real_fft_inverse(const Tensor& x, const std::vector<int>& dims, int64_t n, double scale) {
  check_dtype("irfft", x);
  const Shape spectrum = without_pairs("irfft", x);
  const std::vector<int> axes = checked_dims("irfft", spectrum, dims);
  HEED_CHECK(n > 0 && spectrum[axes.back()] == n / 2 + 1,
             "irfft: {} elements come from a spectrum of {}, but dimension {} of {} has {}", n,
             n / 2 + 1, axes.back(), x, spectrum[axes.back()]);
  if (x.device().is_cuda()) return real_fft_inverse_on_device(x, axes, n, scale);
  require_cpu(x.device(), "fft");
  Shape shape = spectrum;
  shape[axes.back()] = n;
  const Tensor y = Tensor::empty(shape, x.dtype());
  Tensor in = contiguous(x);
  if (axes.size() > 1) {
    in = Tensor::empty(x.shape(), x.dtype());
    copy(x, in);
  }
  dispatch(x, [&](auto tag) {
    using T = decltype(tag);
    other_axes<T>(in.data<T>(), spectrum, axes, true);
    real_axis_inverse<T>(in.data<T>(), y.data<T>(), Axis(shape, axes.back()),
                         static_cast<T>(scale));
  });
  return y;
}

Tensor scale_paired_bins(const Tensor& x, int dim, int64_t n, double factor) {
  check_dtype("fft", x);
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  copy(x, y);
  const int axis = without_pairs("fft", x).dim_index(dim, "fft");
  const Tensor bins = views::slice(y, axis, 1, 1 + (n - 1) / 2);
  copy(binary(Binary::mul, bins, factor), bins);
  return y;
}

}  // namespace heed::kernels
