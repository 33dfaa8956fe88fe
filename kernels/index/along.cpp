#include "kernels/index/along.h"

#include <algorithm>
#include <cstring>

#include "core/op_call.h"
#include "core/parallel.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/device_bytes.h"
#include "kernels/elementwise/compare.h"
#include "kernels/index/by_id.h"
#include "kernels/index/device_index.h"
#include "kernels/index/index.h"

namespace heed::kernels {

DeviceKernel<void(const GatherAlong&)> gather_along_cuda;
DeviceKernel<void(const ScatterAlong&)> scatter_along_cuda;
DeviceKernel<void(const PutRows&)> put_rows_cuda;

namespace {

void check_index(const Shape& shape, int dim, const Tensor& index, const char* op) {
  bool fits = index.rank() == shape.rank();
  for (int i = 0; fits && i < shape.rank(); ++i) fits = i == dim || index.shape()[i] == shape[i];
  HEED_CHECK(fits, "{}: the index is {}, needs the shape {} but along dimension {}", op, index,
             shape, dim);
}

constexpr int64_t kColumns = 64;  // of inner, a unit of work

// The ids of an index, [outer, count, inner], inner being 1 where one is a whole row's.
struct Ids {
  std::vector<int64_t> of;
  int64_t inner;

  int64_t at(int64_t row, int64_t i) const {
    return of[static_cast<size_t>(inner == 1 ? row : row * inner + i)];
  }
  /// For kernels that read one for each element.
  Tensor on(Device device, int64_t elements_of_row) const {
    if (inner == elements_of_row) return device_bytes(of, device);
    std::vector<int64_t> all;
    all.reserve(of.size() * static_cast<size_t>(elements_of_row));
    for (const int64_t id : of) all.insert(all.end(), static_cast<size_t>(elements_of_row), id);
    return device_bytes(all, device);
  }
};

Ids ids_of(const Tensor& index, int dim, const Extents& e, const char* op) {
  const Tensor narrow = one_id_a_row(index, dim);
  const bool row = narrow.numel() < index.numel();
  return {read_index(narrow, e.n, op), row ? 1 : e.inner};
}

}  // namespace

Tensor one_id_a_row(const Tensor& index, int dim) {
  Tensor narrow = index;
  for (int i = dim + 1; i < index.rank(); ++i) {
    if (index.shape()[i] == 1) continue;
    if (index.strides()[i] != 0 || index.numel() == 0) return index;
    narrow = views::slice(narrow, i, 0, 1);
  }
  return narrow;
}

Tensor gather_along(const Tensor& x, int dim, const Tensor& index, const char* op) {
  dim = x.shape().dim_index(dim, op);
  check_index(x.shape(), dim, index, op);
  const Extents e = split_at(x.shape(), dim);
  const Ids ids = ids_of(index, dim, e, op);
  const int64_t count = index.shape()[dim];
  const Tensor dense = contiguous_as(x, x.dtype());
  const Tensor out = Tensor::empty(index.shape(), x.dtype(), x.device());
  if (x.device().is_cuda()) {
    const Tensor there = ids.on(x.device(), e.inner);
    gather_along_cuda({op, x}, {static_cast<int64_t>(size_of(x.dtype())),
                                {e.outer, e.n, e.inner, count},
                                static_cast<const int64_t*>(there.raw()),
                                dense.raw(),
                                out.raw()});
    return out;
  }
  require_cpu(x.device(), op);
  dispatch_any(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* from = dense.data<T>();
    T* to = out.data<T>();
    parallel_for(e.outer * count, grain_for(e.inner), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* block = from + row / count * e.n * e.inner;
        T* own = to + row * e.inner;
        if (ids.inner == 1) {
          std::copy_n(block + ids.at(row, 0) * e.inner, e.inner, own);
          continue;
        }
        for (int64_t i = 0; i < e.inner; ++i) own[i] = block[ids.at(row, i) * e.inner + i];
      }
    });
  });
  return out;
}

Tensor scatter_add_along(const Tensor& base, const Shape& shape, int dim, const Tensor& index,
                         const Tensor& values, const char* op) {
  dim = shape.dim_index(dim, op);
  check_index(shape, dim, index, op);
  HEED_CHECK(values.shape() == index.shape(), "{}: values are {}, the index is {}", op, values,
             index);
  const Extents e = split_at(shape, dim);
  const Ids ids = ids_of(index, dim, e, op);
  const int64_t count = index.shape()[dim];
  const Tensor dense = contiguous_as(values, values.dtype());
  const Tensor sum =
      Tensor::empty(shape, values.dtype() == DType::f64 ? DType::f64 : DType::f32, values.device());
  if (base.defined()) {
    HEED_CHECK(base.shape() == shape && is_floating(base.dtype()), "{}: {} in place of {}", op,
               base, shape);
    copy(base, sum);
  } else {
    fill(sum, 0);
  }
  if (values.device().is_cuda()) {
    const Tensor there = ids.on(values.device(), e.inner);
    scatter_along_cuda({op, values, sum}, {values.dtype(),
                                           sum.dtype(),
                                           {e.outer, e.n, e.inner, count},
                                           static_cast<const int64_t*>(there.raw()),
                                           dense.raw(),
                                           sum.raw()});
    return contiguous_as(sum, values.dtype());
  }
  const int64_t blocks = (e.inner + kColumns - 1) / kColumns;
  dispatch_floating(values.dtype(), op, [&](auto type) {
    using T = decltype(type);
    using A = accumulate_t<T>;
    const T* from = dense.data<T>();
    A* to = sum.data<A>();
    const int64_t work = count * std::min(kColumns, e.inner);
    parallel_for(e.outer * blocks, grain_for(work), [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t o = unit / blocks, first = unit % blocks * kColumns;
        const int64_t last = std::min(e.inner, first + kColumns);
        for (int64_t k = 0; k < count; ++k) {
          const int64_t row = o * count + k;
          const T* own = from + row * e.inner;
          if (ids.inner == 1) {
            A* sums = to + (o * e.n + ids.at(row, 0)) * e.inner;
            for (int64_t i = first; i < last; ++i) sums[i] += static_cast<A>(own[i]);
            continue;
          }
          for (int64_t i = first; i < last; ++i) {
            to[(o * e.n + ids.at(row, i)) * e.inner + i] += static_cast<A>(own[i]);
          }
        }
      }
    });
  });
  return contiguous_as(sum, values.dtype());
}

Tensor put_rows(const Tensor& x, int dim, const Tensor& index, const Tensor& values,
                const char* op) {
  dim = x.shape().dim_index(dim, op);
  const Extents e = split_at(x.shape(), dim);
  const std::vector<int64_t> ids = read_index(index, e.n, op);
  const int64_t count = static_cast<int64_t>(ids.size());
  HEED_CHECK(values.dtype() == x.dtype() && values.numel() == e.outer * count * e.inner,
             "{}: values are {} for {} indices into {}", op, values, count, x);
  const Tensor dense = contiguous_as(x, x.dtype()), rows = contiguous_as(values, x.dtype());
  const Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  std::vector<int64_t> last(static_cast<size_t>(e.n), -1);
  for (int64_t k = 0; k < count; ++k) last[static_cast<size_t>(ids[static_cast<size_t>(k)])] = k;
  if (x.device().is_cuda()) {
    const Tensor there = device_bytes(last, x.device());
    put_rows_cuda({op, x, values}, {static_cast<int64_t>(size_of(x.dtype())),
                                    {e.outer, e.n, e.inner, count},
                                    static_cast<const int64_t*>(there.raw()),
                                    dense.raw(),
                                    rows.raw(),
                                    out.raw()});
    return out;
  }
  require_cpu(x.device(), op);
  const size_t bytes = static_cast<size_t>(e.inner) * size_of(x.dtype());
  const auto row_of = [&](const Tensor& t, int64_t row) {
    return static_cast<char*>(t.raw()) + static_cast<size_t>(row) * bytes;
  };
  parallel_for(e.outer * e.n, grain_for(e.inner), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t k = last[static_cast<size_t>(row % e.n)];
      std::memcpy(row_of(out, row),
                  k < 0 ? row_of(dense, row) : row_of(rows, row / e.n * count + k), bytes);
    }
  });
  return out;
}

Tensor put_rows_backward(const Tensor& dy, int dim, const Tensor& index, const char* op) {
  dim = dy.shape().dim_index(dim, op);
  const Extents e = split_at(dy.shape(), dim);
  const std::vector<int64_t> ids = read_index(index, e.n, op);
  const Tensor rows = take(dy, dim, index, dy.dtype(), op);
  const int64_t count = static_cast<int64_t>(ids.size());
  const Tensor wins = Tensor::empty({1, count, 1}, DType::boolean);
  std::vector<bool> seen(static_cast<size_t>(e.n));
  for (int64_t k = count; k-- > 0;) {
    const auto id = static_cast<size_t>(ids[static_cast<size_t>(k)]);
    wins.data<bool>()[k] = !seen[id];
    seen[id] = true;
  }
  const Tensor zero = Tensor::zeros({}, dy.dtype(), dy.device());
  return views::reshape(select(wins, views::reshape(rows, {e.outer, count, e.inner}), zero),
                        rows.shape());
}

}  // namespace heed::kernels
