#include <cmath>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/reduce/device_reductions.h"
#include "kernels/reduce/reduce.h"

namespace heed::kernels {

DeviceKernel<void(const Extremes&)> extremes_cuda;
DeviceKernel<void(const ScatterOne&)> scatter_one_cuda;

namespace {

constexpr int64_t kWork = 32768;  // elements of a chunk

// x seen as [outer, n, inner].
struct Split {
  Split(const Shape& shape, int dim) : n(shape[dim]) {
    for (int d = 0; d < dim; ++d) outer *= shape[d];
    for (int d = dim + 1; d < shape.rank(); ++d) inner *= shape[d];
  }
  int64_t outer = 1, n = 1, inner = 1;
};

template <class T>
bool is_nan(T x) {
  if constexpr (std::is_integral_v<T>) {
    return false;
  } else {
    return std::isnan(static_cast<accumulate_t<T>>(x));
  }
}

// The largest, or the smallest unless kLargest.
template <bool kLargest, class T>
void extreme_rows(const T* x, const Split& split, T* values, int64_t* indices) {
  const auto [outer, n, inner] = split;
  const int64_t columns = inner, extent = n;
  parallel_for(outer, kWork / (extent * columns), [=](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      const T* rows = x + o * extent * columns;
      T* best = values + o * columns;
      int64_t* at = indices + o * columns;
      for (int64_t c = 0; c < columns; ++c) {
        best[c] = rows[c];
        at[c] = 0;
      }
      for (int64_t r = 1; r < extent; ++r) {
        for (int64_t c = 0; c < columns; ++c) {
          const T value = rows[r * columns + c];
          const bool better = kLargest ? value > best[c] : value < best[c];
          if (better || (is_nan(value) && !is_nan(best[c]))) {
            best[c] = value;
            at[c] = r;
          }
        }
      }
    }
  });
}

std::pair<Tensor, Tensor> extreme_along(const char* op, const Tensor& x, int dim, bool largest) {
  dim = x.shape().dim_index(dim, op);
  HEED_CHECK(x.shape()[dim] > 0, "{}: dimension {} of {} is empty", op, dim, x);
  Shape shape = x.shape();
  shape[dim] = 1;
  const Tensor values = Tensor::empty(shape, x.dtype(), x.device());
  const Tensor indices = Tensor::empty(shape, DType::i64, x.device());
  if (values.numel() == 0) return {values, indices};
  const Tensor dense = contiguous(x);
  if (x.device().is_cuda()) {
    const Split s(x.shape(), dim);
    extremes_cuda({op, x}, {x.dtype(), largest, s.outer, s.n, s.inner, dense.raw(), values.raw(),
                            indices.data<int64_t>()});
    return {values, indices};
  }
  dispatch_any(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const auto rows = largest ? extreme_rows<true, T> : extreme_rows<false, T>;
    rows(dense.data<T>(), Split(x.shape(), dim), values.data<T>(), indices.data<int64_t>());
  });
  return {values, indices};
}

}  // namespace

std::pair<Tensor, Tensor> max_along(const Tensor& x, int dim) {
  return extreme_along("max", x, dim, true);
}

std::pair<Tensor, Tensor> min_along(const Tensor& x, int dim) {
  return extreme_along("min", x, dim, false);
}

Tensor scatter_along(const Tensor& values, const Tensor& indices, int dim, int64_t extent) {
  dim = values.shape().dim_index(dim, "scatter");
  HEED_CHECK(values.shape() == indices.shape() && values.shape()[dim] == 1,
             "scatter: values {} and indices {} along dimension {}", values, indices, dim);
  Shape shape = values.shape();
  shape[dim] = extent;
  const Tensor out = Tensor::zeros(shape, values.dtype(), values.device());
  const Tensor from = contiguous(values), at = contiguous(indices);
  const Split split(shape, dim);
  if (values.device().is_cuda()) {
    const Tensor there = at.to(values.device());
    scatter_one_cuda({"scatter", from, there},
                     {static_cast<int64_t>(size_of(values.dtype())), split.outer, split.n,
                      split.inner, from.raw(), there.data<int64_t>(), out.raw()});
    return out;
  }
  dispatch_any(values.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* value = from.data<T>();
    const int64_t* index = at.data<int64_t>();
    T* to = out.data<T>();
    for (int64_t o = 0; o < split.outer; ++o) {
      for (int64_t c = 0; c < split.inner; ++c) {
        const int64_t i = o * split.inner + c;
        to[(o * split.n + index[i]) * split.inner + c] = value[i];
      }
    }
  });
  return out;
}

}  // namespace heed::kernels
