// take_backward sorts the positions by index (counting sort, O(K + N)) and lets each row of dx be
// summed by one thread in order of position: no atomics, no zeroing pass, each row written once.
#include "kernels/index/index.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/op_call.h"
#include "core/parallel.h"
#include "core/views.h"
#include "kernels/copy/cast_rows.h"
#include "kernels/copy/copy.h"
#include "kernels/device_bytes.h"
#include "kernels/index/by_id.h"
#include "kernels/index/device_index.h"

namespace heed::kernels {

DeviceKernel<void(const TakeRows&)> take_cuda;
DeviceKernel<void(const AddRows&)> take_backward_cuda;

namespace {

template <class From, class To>
void take_rows(const From* x, const Extents& e, const std::vector<int64_t>& ids, To* out) {
  const int64_t count = static_cast<int64_t>(ids.size());
  parallel_for(e.outer * count, grain_for(e.inner), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t id = ids[static_cast<size_t>(row % count)];
      const From* from = x + (row / count * e.n + id) * e.inner;
      To* to = out + row * e.inner;
      if constexpr (std::is_same_v<From, To>) {
        std::memcpy(to, from, static_cast<size_t>(e.inner) * sizeof(To));
      } else if constexpr (std::is_same_v<From, float> && std::is_same_v<To, bfloat16>) {
        f32_to_bf16(from, to, e.inner);
      } else {
        for (int64_t i = 0; i < e.inner; ++i) to[i] = To(static_cast<accumulate_t<To>>(from[i]));
      }
    }
  });
}

constexpr int64_t kBlock = 32;

template <class From, class A>
void add_rows(const From* dy, const Extents& e, int64_t count, const ById& by_id, A* dx) {
  const int64_t reads = 1 + count / std::max<int64_t>(1, e.n);
  parallel_for(e.outer * e.n, grain_for(e.inner * reads), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const size_t id = static_cast<size_t>(row % e.n);
      const From* block = dy + row / e.n * count * e.inner;
      A* sum = dx + row * e.inner;
      if (by_id.start[id] == by_id.start[id + 1]) {  // most rows of a large vocabulary
        std::fill_n(sum, e.inner, A(0));
        continue;
      }
      // Columns in blocks that stay in registers while the rows pass by.
      for (int64_t first = 0; first < e.inner; first += kBlock) {
        const int64_t width = std::min(kBlock, e.inner - first);
        A block_sum[kBlock] = {};
        for (int64_t k = by_id.start[id]; k < by_id.start[id + 1]; ++k) {
          const From* more = block + by_id.order[static_cast<size_t>(k)] * e.inner + first;
          if (width == kBlock) {
            for (int64_t i = 0; i < kBlock; ++i) block_sum[i] += static_cast<A>(more[i]);
          } else {
            for (int64_t i = 0; i < width; ++i) block_sum[i] += static_cast<A>(more[i]);
          }
        }
        std::copy_n(block_sum, width, sum + first);
      }
    }
  });
}

const int64_t* numbers(const Tensor& bytes) { return static_cast<const int64_t*>(bytes.raw()); }

Tensor upload(const std::vector<int64_t>& values, Device device) {
  return device_bytes(values, device);
}

void take_on_device(const Tensor& x, const Extents& e, const std::vector<int64_t>& ids,
                    const Tensor& out, const char* op) {
  HEED_CHECK(x.dtype() == out.dtype() || (is_floating(x.dtype()) && is_floating(out.dtype())),
             "{}: {} as {}", op, x, out);
  const Tensor dense = contiguous(x), there = upload(ids, x.device());
  take_cuda({op, x, out}, {x.dtype(),
                           out.dtype(),
                           static_cast<int64_t>(size_of(x.dtype())),
                           {e.outer, e.n, e.inner, std::ssize(ids)},
                           numbers(there),
                           dense.raw(),
                           out.raw()});
}

}  // namespace

Tensor take(const Tensor& x, int dim, const Tensor& index, DType dtype, const char* op) {
  dim = x.shape().dim_index(dim, op);
  const Extents e = split_at(x.shape(), dim);
  const std::vector<int64_t> ids = read_index(index, e.n, op);
  Shape shape;
  for (int i = 0; i < dim; ++i) shape.push_back(x.shape()[i]);
  for (const int64_t extent : index.shape()) shape.push_back(extent);
  for (int i = dim + 1; i < x.rank(); ++i) shape.push_back(x.shape()[i]);
  const Tensor out = Tensor::empty(shape, dtype, x.device());
  if (out.numel() == 0) return out;
  if (x.device().is_cuda()) {
    take_on_device(x, e, ids, out, op);
    return out;
  }
  require_cpu(x.device(), op);
  if (x.dtype() == dtype) {
    const Tensor dense = contiguous_as(x, dtype);
    // Bytes are moved, not numbers.
    Extents bytes = e;
    bytes.inner *= static_cast<int64_t>(size_of(dtype));
    take_rows(static_cast<const char*>(dense.raw()), bytes, ids, static_cast<char*>(out.raw()));
    return out;
  }
  const Tensor dense = contiguous_as(x, x.dtype());
  dispatch_floating(x.dtype(), op, [&](auto from) {
    dispatch_floating(dtype, op, [&](auto to) {
      take_rows(dense.data<decltype(from)>(), e, ids, out.data<decltype(to)>());
    });
  });
  return out;
}

Tensor take_backward(const Tensor& dy, int dim, const Tensor& index, const Shape& shape,
                     DType dtype, const char* op) {
  dim = shape.dim_index(dim, op);
  const Extents e = split_at(shape, dim);
  const std::vector<int64_t> ids = read_index(index, e.n, op);
  const int64_t count = static_cast<int64_t>(ids.size());
  HEED_CHECK(dy.numel() == e.outer * count * e.inner, "{}: dy is {} for {} indices into {}", op, dy,
             count, shape);
  const Tensor dense = contiguous_as(dy, dy.dtype());
  const Tensor sum =
      Tensor::empty(shape, dtype == DType::f64 ? DType::f64 : DType::f32, dy.device());
  const ById by_id(ids, e.n);
  if (dy.device().is_cuda()) {
    const Tensor start = upload(by_id.start, dy.device()), order = upload(by_id.order, dy.device());
    take_backward_cuda({op, dy, sum}, {dy.dtype(),
                                       sum.dtype(),
                                       {e.outer, e.n, e.inner, count},
                                       numbers(start),
                                       numbers(order),
                                       dense.raw(),
                                       sum.raw()});
    return contiguous_as(sum, dtype);
  }
  dispatch_floating(dy.dtype(), op, [&](auto from) {
    dispatch_floating(sum.dtype(), op, [&](auto to) {
      using A = accumulate_t<decltype(to)>;
      if constexpr (std::is_same_v<A, decltype(to)>) {
        add_rows(dense.data<decltype(from)>(), e, count, by_id, sum.data<A>());
      }
    });
  });
  return contiguous_as(sum, dtype);
}

}  // namespace heed::kernels
