// x is seen as [outer, n, inner]; a task scans a block of neighbouring columns of one [n, inner]
// plane, whose running values stay in cache.
#include "kernels/scan/scan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/index/by_id.h"
#include "kernels/index/device_index.h"
#include "kernels/scan/device_scan.h"

namespace heed::kernels {

DeviceKernel<void(const DeviceScan&)> scan_cuda;
DeviceKernel<void(const DeviceMoving&)> moving_cuda;

namespace {

constexpr int64_t kWork = 16384;  // elements of a chunk
constexpr int64_t kColumns = 64;  // columns of a task
using Running = std::array<double, kColumns>;

template <class T>
T rounded(double value) {
  return T(static_cast<accumulate_t<T>>(value));
}

// A block of columns: `width` of them, rows `inner` elements apart from element `first` on.
struct Columns {
  int64_t first, width, n, inner;
  bool reverse;
  /// The element that starts the i-th row in the order of the scan.
  int64_t row(int64_t i) const { return first + (reverse ? n - 1 - i : i) * inner; }
};

template <class Fn>
void for_columns(const Shape& shape, int dim, bool reverse, Fn&& fn) {
  if (shape.numel() == 0) return;
  const Extents e = split_at(shape, dim);
  const int64_t outer = e.outer, n = e.n, inner = e.inner;
  const int64_t blocks = (inner + kColumns - 1) / kColumns;
  const int64_t work = n * std::min(inner, kColumns);
  parallel_for(outer * blocks, kWork / work, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t column = task % blocks * kColumns;
      fn(Columns{task / blocks * n * inner + column, std::min(kColumns, inner - column), n, inner,
                 reverse});
    }
  });
}

template <class T>
void sum_columns(const Columns& block, const T* x, T* y) {
  Running sum{};
  for (int64_t i = 0; i < block.n; ++i) {
    const T* in = x + block.row(i);
    T* out = y + block.row(i);
    for (int64_t c = 0; c < block.width; ++c) {
      double& s = sum[static_cast<size_t>(c)];
      s += static_cast<double>(in[c]);
      out[c] = rounded<T>(s);
    }
  }
}

template <class T>
void max_columns(const Columns& block, const T* x, T* y, int64_t* index) {
  for (int64_t i = 0; i < block.n; ++i) {
    const int64_t row = block.row(i), before = i == 0 ? row : block.row(i - 1);
    for (int64_t c = 0; c < block.width; ++c) {
      const double value = static_cast<double>(x[row + c]),
                   best = static_cast<double>(y[before + c]);
      const bool first = i == 0 || value > best || (std::isnan(value) && !std::isnan(best));
      y[row + c] = first ? x[row + c] : y[before + c];
      index[row + c] = first ? (row - block.first) / block.inner : index[before + c];
    }
  }
}

template <class T>
void log_sum_exp_columns(const Columns& block, const T* x, T* y) {
  constexpr double kLowest = -std::numeric_limits<double>::infinity();
  Running largest, sum{};  // y = largest + log(sum)
  largest.fill(kLowest);
  for (int64_t i = 0; i < block.n; ++i) {
    const int64_t row = block.row(i);
    for (int64_t c = 0; c < block.width; ++c) {
      double &m = largest[static_cast<size_t>(c)], &s = sum[static_cast<size_t>(c)];
      const double value = static_cast<double>(x[row + c]);
      if (value > m) {
        s = s * std::exp(m - value) + 1;
        m = value;
      } else if (value != kLowest) {
        s += value == m ? 1 : std::exp(value - m);
      }
      y[row + c] = rounded<T>(m + std::log(s));
    }
  }
}

// With G[j] = sum over i >= j of dy[i] e^(y[j] - y[i]), which is dy[j] + e^(y[j] - y[j+1]) G[j+1]:
// dx[j] = e^(x[j] - y[j]) G[j]. All exponents are at most 0. The block runs in reverse.
template <class T>
void log_sum_exp_backward_columns(const Columns& block, const T* dy, const T* x, const T* y,
                                  T* dx) {
  constexpr double kLowest = -std::numeric_limits<double>::infinity();
  Running sum{}, later;
  later.fill(kLowest);
  for (int64_t i = 0; i < block.n; ++i) {
    const int64_t row = block.row(i);
    for (int64_t c = 0; c < block.width; ++c) {
      double &g = sum[static_cast<size_t>(c)], &next = later[static_cast<size_t>(c)];
      const double here = static_cast<double>(y[row + c]);
      if (here == kLowest) {  // every x up to here is -infinity
        dx[row + c] = T(0.0f);
        continue;
      }
      g = static_cast<double>(dy[row + c]) + (i == 0 ? 0 : g * std::exp(here - next));
      next = here;
      dx[row + c] = rounded<T>(g * std::exp(static_cast<double>(x[row + c]) - here));
    }
  }
}

// Pieces of `window` rows; a window ends within one piece, where it is the sum of the piece's rows
// so far, and takes from the piece before what is not older than the window (van Herk, 1992).
// `before` and `after` scale what is read and what is written, by row of the tensor.
template <class T>
void moving_columns(const Columns& block, int64_t window, const T* x, T* y, const double* before,
                    const double* after) {
  const int64_t piece = std::min(window, block.n), width = block.width;
  // tail[j]: the sum of rows j, j + 1, ... of the piece before
  std::vector<double> tail(static_cast<size_t>((piece + 1) * width));
  const auto number = [&](int64_t i) { return (block.row(i) - block.first) / block.inner; };
  for (int64_t start = 0; start < block.n; start += piece) {
    Running sum{};
    const int64_t count = std::min(piece, block.n - start);
    for (int64_t j = 0; j < count; ++j) {
      const int64_t row = block.row(start + j);
      const double in = before ? before[number(start + j)] : 1;
      const double out = after ? after[number(start + j)] : 1;
      const double* older = tail.data() + (j + 1) * width;
      for (int64_t c = 0; c < width; ++c) {
        double& s = sum[static_cast<size_t>(c)];
        s += in * static_cast<double>(x[row + c]);
        y[row + c] = rounded<T>(out * (s + older[c]));
      }
    }
    for (int64_t j = count - 1; j >= 0; --j) {
      const int64_t row = block.row(start + j);
      const double in = before ? before[number(start + j)] : 1;
      double* to = tail.data() + j * width;
      const double* later = to + width;
      for (int64_t c = 0; c < width; ++c) {
        to[c] = (j + 1 < count ? later[c] : 0) + in * static_cast<double>(x[row + c]);
      }
    }
  }
}

// The scan of row-major x along dim, ready for a device.
DeviceScan on_device(Scan op, const Tensor& x, int dim, bool reverse, const Tensor& y) {
  const Extents e = split_at(x.shape(), dim);
  return {.op = op,
          .dtype = x.dtype(),
          .outer = e.outer,
          .n = e.n,
          .inner = e.inner,
          .reverse = reverse,
          .x = x.raw(),
          .y = y.raw()};
}

// fn(T{}, block) for each block of columns of a scan over x.
template <class Fn>
void scan(const char* op, const Tensor& x, int dim, bool reverse, Fn&& fn) {
  dispatch_floating(x.dtype(), op, [&](auto type) {
    for_columns(x.shape(), dim, reverse, [&](const Columns& block) { fn(type, block); });
  });
}

Tensor moving(const Tensor& x, int dim, int64_t window, bool mean, bool adjoint) {
  dim = x.shape().dim_index(dim, "moving_sum");
  HEED_CHECK(window > 0, "moving_sum: a window of {}", window);
  const Tensor in = contiguous(x), y = Tensor::empty(x.shape(), x.dtype(), x.device());
  std::vector<double> share;
  for (int64_t i = 0; mean && i < x.shape()[dim]; ++i) {
    share.push_back(1.0 / static_cast<double>(std::min(i + 1, window)));
  }
  if (x.device().is_cuda()) {
    const Tensor before = Tensor::empty(x.shape(), DType::f64, x.device());
    const Tensor after = Tensor::empty(x.shape(), DType::f64, x.device());
    const Extents e = split_at(x.shape(), dim);
    if (x.numel() > 0) {
      moving_cuda({"moving_sum", in, y},
                  {x.dtype(), e.outer, e.n, e.inner, window, mean, adjoint, in.raw(), y.raw(),
                   before.data<double>(), after.data<double>()});
    }
    return y;
  }
  const double* scale = mean ? share.data() : nullptr;
  scan("moving_sum", x, dim, adjoint, [&](auto type, const Columns& block) {
    using T = decltype(type);
    moving_columns(block, window, in.data<T>(), y.data<T>(), adjoint ? scale : nullptr,
                   adjoint ? nullptr : scale);
  });
  return y;
}

}  // namespace

Tensor cumulative_sum(const Tensor& x, int dim, bool reverse) {
  dim = x.shape().dim_index(dim, "cumsum");
  const Tensor in = contiguous(x), y = Tensor::empty(x.shape(), x.dtype(), x.device());
  if (x.device().is_cuda()) {
    if (x.numel() > 0) scan_cuda({"cumsum", in, y}, on_device(Scan::sum, in, dim, reverse, y));
    return y;
  }
  scan("cumsum", x, dim, reverse, [&](auto type, const Columns& block) {
    using T = decltype(type);
    sum_columns(block, in.data<T>(), y.data<T>());
  });
  return y;
}

std::pair<Tensor, Tensor> cumulative_max(const Tensor& x, int dim, bool reverse) {
  dim = x.shape().dim_index(dim, "cummax");
  const Tensor in = contiguous(x), y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const Tensor index = Tensor::empty(x.shape(), DType::i64, x.device());
  if (x.device().is_cuda()) {
    DeviceScan s = on_device(Scan::max, in, dim, reverse, y);
    s.index = index.data<int64_t>();
    if (x.numel() > 0) scan_cuda({"cummax", in, y}, s);
    return {y, index};
  }
  scan("cummax", x, dim, reverse, [&](auto type, const Columns& block) {
    using T = decltype(type);
    max_columns(block, in.data<T>(), y.data<T>(), index.data<int64_t>());
  });
  return {y, index};
}

Tensor add_along(const Tensor& dy, const Tensor& index, int dim) {
  dim = dy.shape().dim_index(dim, "cummax");
  HEED_CHECK(dy.shape() == index.shape(), "cummax: dy {} and indices {}", dy, index);
  const Tensor in = contiguous(dy), at = contiguous(index);
  if (dy.device().is_cuda()) {
    const Tensor sum = Tensor::zeros(dy.shape(), DType::f64, dy.device());
    const Extents e = split_at(dy.shape(), dim);
    if (dy.numel() > 0) {
      scatter_along_cuda({"cummax", in, at, sum}, {dy.dtype(),
                                                   DType::f64,
                                                   {e.outer, e.n, e.inner, e.n},
                                                   at.data<int64_t>(),
                                                   in.raw(),
                                                   sum.raw()});
    }
    return cast(sum, dy.dtype());
  }
  const Tensor dx = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
  scan("cummax", dy, dim, false, [&](auto type, const Columns& block) {
    using T = decltype(type);
    const T* from = in.data<T>();
    const int64_t* where = at.data<int64_t>();
    std::vector<double> sum(static_cast<size_t>(block.n * block.width));
    for (int64_t i = 0; i < block.n; ++i) {
      for (int64_t c = 0; c < block.width; ++c) {
        const int64_t element = block.row(i) + c;
        sum[static_cast<size_t>(where[element] * block.width + c)] +=
            static_cast<double>(from[element]);
      }
    }
    for (int64_t i = 0; i < block.n; ++i) {
      T* to = dx.data<T>() + block.row(i);
      for (int64_t c = 0; c < block.width; ++c) {
        to[c] = rounded<T>(sum[static_cast<size_t>(i * block.width + c)]);
      }
    }
  });
  return dx;
}

Tensor log_cumulative_sum_exp(const Tensor& x, int dim) {
  dim = x.shape().dim_index(dim, "logcumsumexp");
  const Tensor in = contiguous(x), y = Tensor::empty(x.shape(), x.dtype(), x.device());
  if (x.device().is_cuda()) {
    if (x.numel() > 0)
      scan_cuda({"logcumsumexp", in, y}, on_device(Scan::log_sum_exp, in, dim, false, y));
    return y;
  }
  scan("logcumsumexp", x, dim, false, [&](auto type, const Columns& block) {
    using T = decltype(type);
    log_sum_exp_columns(block, in.data<T>(), y.data<T>());
  });
  return y;
}

Tensor log_cumulative_sum_exp_backward(const Tensor& dy, const Tensor& x, const Tensor& y,
                                       int dim) {
  dim = x.shape().dim_index(dim, "logcumsumexp");
  HEED_CHECK(dy.shape() == x.shape() && y.shape() == x.shape(), "logcumsumexp: dy {}, x {}, y {}",
             dy, x, y);
  const Tensor gradient = contiguous_as(dy, x.dtype()), in = contiguous(x), out = contiguous(y);
  const Tensor dx = Tensor::empty(x.shape(), x.dtype(), x.device());
  if (x.device().is_cuda()) {
    DeviceScan s = on_device(Scan::log_sum_exp_backward, in, dim, true, dx);
    s.dy = gradient.raw();
    s.result = out.raw();
    if (x.numel() > 0) scan_cuda({"logcumsumexp", in, gradient, out, dx}, s);
    return dx;
  }
  scan("logcumsumexp", x, dim, true, [&](auto type, const Columns& block) {
    using T = decltype(type);
    log_sum_exp_backward_columns(block, gradient.data<T>(), in.data<T>(), out.data<T>(),
                                 dx.data<T>());
  });
  return dx;
}

Tensor moving_sum(const Tensor& x, int dim, int64_t window, bool mean) {
  return moving(x, dim, window, mean, false);
}
Tensor moving_sum_backward(const Tensor& dy, int dim, int64_t window, bool mean) {
  return moving(dy, dim, window, mean, true);
}

}  // namespace heed::kernels
