#include "kernels/index/segments.h"

#include <cmath>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/device_bytes.h"
#include "kernels/index/by_id.h"
#include "kernels/index/device_index.h"

namespace heed::kernels {

DeviceKernel<void(const SegmentExtremes&)> segment_max_cuda;
DeviceKernel<void(const SpreadExtremes&)> spread_max_cuda;

SegmentMax segment_max(const Tensor& x, const Tensor& ids, int64_t segments, double empty,
                       const char* op) {
  HEED_CHECK(x.rank() >= 1 && ids.rank() == 1 && ids.size(0) == x.size(0),
             "{}: ids {} do not fit the rows of {}", op, ids, x);
  const ById by_id(read_index(ids, segments, op), segments);
  const int64_t width = split_at(x.shape(), 0).inner;
  Shape shape = x.shape();
  shape[0] = segments;
  const Tensor dense = contiguous_as(x, x.dtype());
  const SegmentMax result{Tensor::empty(shape, x.dtype(), x.device()),
                          Tensor::empty(shape, DType::i64, x.device())};
  if (x.device().is_cuda()) {
    const Tensor start = device_bytes(by_id.start, x.device());
    const Tensor order = device_bytes(by_id.order, x.device());
    segment_max_cuda({op, x},
                     {x.dtype(), segments, width, empty, static_cast<const int64_t*>(start.raw()),
                      static_cast<const int64_t*>(order.raw()), dense.raw(), result.values.raw(),
                      result.rows.data<int64_t>()});
    return result;
  }
  require_cpu(x.device(), op);
  dispatch_floating(x.dtype(), op, [&](auto type) {
    using T = decltype(type);
    const T* from = dense.data<T>();
    const int64_t rows = 1 + x.size(0) / std::max<int64_t>(1, segments);
    parallel_for(segments, grain_for(width * rows), [&](int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; ++s) {
        T* best = result.values.data<T>() + s * width;
        int64_t* where = result.rows.data<int64_t>() + s * width;
        std::fill_n(best, width, T(static_cast<accumulate_t<T>>(empty)));
        std::fill_n(where, width, -1);
        for (int64_t k = by_id.start[static_cast<size_t>(s)];
             k < by_id.start[static_cast<size_t>(s) + 1]; ++k) {
          const int64_t row = by_id.order[static_cast<size_t>(k)];
          for (int64_t i = 0; i < width; ++i) {
            const auto v = static_cast<accumulate_t<T>>(from[row * width + i]);
            const auto b = static_cast<accumulate_t<T>>(best[i]);
            if (where[i] < 0 || v > b || (std::isnan(v) && !std::isnan(b))) {
              best[i] = from[row * width + i];
              where[i] = row;
            }
          }
        }
      }
    });
  });
  return result;
}

Tensor segment_max_backward(const Tensor& dy, const Tensor& rows, const Tensor& ids,
                            const Shape& shape) {
  const char* op = "segment_max";
  const std::vector<int64_t> id = read_index(ids, rows.size(0), op);
  const int64_t width = split_at(shape, 0).inner;
  const Tensor dense = contiguous_as(dy, dy.dtype());
  const Tensor dx = Tensor::empty(shape, dy.dtype(), dy.device());
  if (dy.device().is_cuda()) {
    const Tensor there = device_bytes(id, dy.device());
    spread_max_cuda({op, dy, rows}, {static_cast<int64_t>(size_of(dy.dtype())), shape[0], width,
                                     static_cast<const int64_t*>(there.raw()), rows.data<int64_t>(),
                                     dense.raw(), dx.raw()});
    return dx;
  }
  dispatch_floating(dy.dtype(), op, [&](auto type) {
    using T = decltype(type);
    parallel_for(shape[0], grain_for(width), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const int64_t at = id[static_cast<size_t>(n)] * width;
        for (int64_t i = 0; i < width; ++i) {
          const bool largest = rows.data<int64_t>()[at + i] == n;
          dx.data<T>()[n * width + i] = largest ? dense.data<T>()[at + i] : T(0);
        }
      }
    });
  });
  return dx;
}

Tensor segment_ids(const Tensor& offsets) {
  const char* op = "segment_ids";
  HEED_CHECK(offsets.rank() == 1 && offsets.size(0) >= 1 &&
                 (offsets.dtype() == DType::i64 || offsets.dtype() == DType::i32),
             "{}: offsets are {}, need i64 or i32 [S + 1]", op, offsets);
  const std::vector<int64_t> bounds = offsets.to_vector<int64_t>();
  HEED_CHECK(bounds[0] == 0, "{}: the first offset is {}, not 0", op, bounds[0]);
  for (size_t s = 1; s < bounds.size(); ++s) {
    HEED_CHECK(bounds[s] >= bounds[s - 1], "{}: offset {} at position {} is below {} before it", op,
               bounds[s], s, bounds[s - 1]);
  }
  const Tensor ids = Tensor::empty({bounds.back()}, DType::i64);
  for (size_t s = 0; s + 1 < bounds.size(); ++s) {
    std::fill(ids.data<int64_t>() + bounds[s], ids.data<int64_t>() + bounds[s + 1],
              static_cast<int64_t>(s));
  }
  return ids;
}

std::vector<int64_t> segment_sizes(const Tensor& ids, int64_t segments, const char* op) {
  std::vector<int64_t> sizes(static_cast<size_t>(segments));
  for (const int64_t id : read_index(ids, segments, op)) ++sizes[static_cast<size_t>(id)];
  return sizes;
}

}  // namespace heed::kernels
