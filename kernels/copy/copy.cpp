// Copies by the first of these that fits, after merging dimensions in dst's memory order:
//   memcpy rows              same dtype, both rows contiguous
//   f32 <-> bf16 rows        both rows contiguous, SIMD
//   blocks                   src is contiguous along another dimension than dst (a transpose);
//                            SIMD where the dtypes are the same
//   strided rows             anything else
// Bytes moved: one read of src and one write of dst.
#include "kernels/copy/copy.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "core/device_runtime.h"
#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/copy/cast_rows.h"
#include "kernels/copy/convert.h"
#include "kernels/copy/strided_copy.h"
#include "kernels/copy/transpose_block.h"
#include "kernels/strided.h"

namespace heed::kernels {

DeviceKernel<void(const StridedCopy&)> strided_copy_cuda;

namespace {

constexpr int64_t kGrain = 32768;  // elements of a chunk
// A block that is transposed: rows along which src is contiguous, columns along which dst is.
constexpr int64_t kBlockRows = 256;
constexpr int64_t kBlockColumns = 64;

using RowFn = void (*)(const void* src, int64_t src_step, void* dst, int64_t dst_step, int64_t n);

template <class From, class To>
void strided_row(const void* src, int64_t src_step, void* dst, int64_t dst_step, int64_t n) {
  const From* from = static_cast<const From*>(src);
  To* to = static_cast<To*>(dst);
  if constexpr (std::is_same_v<From, To>) {
    if (src_step == 1 && dst_step == 1) {
      std::memcpy(to, from, static_cast<size_t>(n) * sizeof(To));
      return;
    }
  }
  if constexpr (std::is_same_v<From, float> && std::is_same_v<To, bfloat16>) {
    if (src_step == 1 && dst_step == 1) return f32_to_bf16(from, to, n);
  }
  if constexpr (std::is_same_v<From, bfloat16> && std::is_same_v<To, float>) {
    if (src_step == 1 && dst_step == 1) return bf16_to_f32(from, to, n);
  }
  if (src_step == 0 && dst_step == 1) {
    std::fill_n(to, n, convert<To>(*from));
  } else if (src_step == 1 && dst_step == 1) {
    for (int64_t i = 0; i < n; ++i) to[i] = convert<To>(from[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) to[i * dst_step] = convert<To>(from[i * src_step]);
  }
}

// A TransposeFn that converts.
template <class From, class To>
void convert_transposed(const void* src, int64_t src_step, void* dst, int64_t dst_step,
                        int64_t rows, int64_t columns) {
  // Through a buffer, so that each line of src is used up at once: lines a power of two apart fall
  // into few sets of the cache.
  constexpr int64_t kRows = 64;
  alignas(64) To buffer[kBlockColumns][kRows];
  for (int64_t begin = 0; begin < rows; begin += kRows) {
    const From* from = static_cast<const From*>(src) + begin;
    To* to = static_cast<To*>(dst) + begin * dst_step;
    const int64_t n = std::min(kRows, rows - begin);
    for (int64_t c = 0; c < columns; ++c) {
      for (int64_t r = 0; r < n; ++r) buffer[c][r] = convert<To>(from[r + c * src_step]);
    }
    for (int64_t r = 0; r < n; ++r) {
      for (int64_t c = 0; c < columns; ++c) to[r * dst_step + c] = buffer[c][r];
    }
  }
}

struct Operation {
  RowFn row;
  TransposeFn block;
};

Operation operation(DType from, DType to) {
  // only the size matters when nothing is converted
  if (from == to) {
    const TransposeFn transpose = transpose_fn(size_of(from));
    switch (size_of(from)) {
      case 1:
        return {strided_row<uint8_t, uint8_t>, transpose};
      case 2:
        return {strided_row<uint16_t, uint16_t>, transpose};
      case 4:
        return {strided_row<uint32_t, uint32_t>, transpose};
      default:
        return {strided_row<uint64_t, uint64_t>, transpose};
    }
  }
  return dispatch_any(from, [&](auto f) {
    return dispatch_any(to, [&](auto t) {
      return Operation{strided_row<decltype(f), decltype(t)>,
                       convert_transposed<decltype(f), decltype(t)>};
    });
  });
}

// The dimensions in the order of dst's memory, outermost first.
StridedLoop plan(const Tensor& src, const Tensor& dst) {
  const Shape from = broadcast_strides(src, dst.shape(), "copy");
  std::array<int, kMaxRank> order{};
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.begin() + dst.rank(),
                   [&](int a, int b) { return dst.strides()[a] > dst.strides()[b]; });
  Shape shape = dst.shape();
  std::array<Shape, 2> strides = {from, dst.strides()};
  for (int i = 0; i < dst.rank(); ++i) {
    shape[i] = dst.shape()[order[static_cast<size_t>(i)]];
    strides[0][i] = from[order[static_cast<size_t>(i)]];
    strides[1][i] = dst.strides()[order[static_cast<size_t>(i)]];
  }
  return StridedLoop(shape, strides);
}

// Moves the dimension along which src is contiguous next to last; -1 when there is none.
int transposed_dim(const StridedLoop& loop) {
  if (loop.step(1) != 1 || loop.step(0) == 1 || loop.step(0) == 0) return -1;
  for (int d = 0; d + 1 < loop.extents().rank(); ++d) {
    if (loop.strides(0)[d] == 1) return d;
  }
  return -1;
}

void copy_blocks(const StridedLoop& loop, int dim, const Operation& op, const char* src,
                 int64_t src_size, char* dst, int64_t dst_size) {
  // outer dimensions, then a grid of blocks over (dim, last)
  const int last = loop.extents().rank() - 1;
  const int64_t rows = loop.extents()[dim], columns = loop.extents()[last];
  const int64_t row_blocks = (rows + kBlockRows - 1) / kBlockRows;
  const int64_t column_blocks = (columns + kBlockColumns - 1) / kBlockColumns;
  const int64_t blocks = loop.numel() / (rows * columns) * row_blocks * column_blocks;
  const int64_t size = std::min(rows, kBlockRows) * std::min(columns, kBlockColumns);
  parallel_for(blocks, (kGrain + size - 1) / size, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      // neighbours share dst's rows: a page that is missed stalls a store longer than a load
      const int64_t c = b % column_blocks * kBlockColumns;
      const int64_t r = b / column_blocks % row_blocks * kBlockRows;
      int64_t rest = b / (row_blocks * column_blocks), from = 0, to = 0;
      for (int d = last - 1; d >= 0; --d) {
        if (d == dim) continue;
        from += rest % loop.extents()[d] * loop.strides(0)[d];
        to += rest % loop.extents()[d] * loop.strides(1)[d];
        rest /= loop.extents()[d];
      }
      from += r + c * loop.step(0);
      to += r * loop.strides(1)[dim] + c;
      op.block(src + from * src_size, loop.step(0), dst + to * dst_size, loop.strides(1)[dim],
               std::min(kBlockRows, rows - r), std::min(kBlockColumns, columns - c));
    }
  });
}

// At least one of them is no host tensor.
void copy_on_device(const Tensor& src, const Tensor& dst) {
  const bool as_bytes = src.dtype() == dst.dtype() && src.shape() == dst.shape() &&
                        src.is_contiguous() && dst.is_contiguous();
  if (as_bytes) {
    copy_bytes(dst.device(), dst.raw(), src.device(), src.raw(), static_cast<size_t>(dst.bytes()));
  } else if (dst.device().is_cpu()) {
    return copy(src.to(kCpu), dst);
  } else if (const StridedLoop loop = plan(src, dst); loop.numel() > 0) {
    const Tensor from = src.to(dst.device());
    strided_copy_cuda({"copy", from, dst}, {from.dtype(), dst.dtype(), loop.plan(),
                                            transposed_dim(loop), from.raw(), dst.raw()});
  }
  dst.bump_version();
}

}  // namespace

void copy(const Tensor& src, const Tensor& dst) {
  if (!src.device().is_cpu() || !dst.device().is_cpu()) return copy_on_device(src, dst);
  const StridedLoop loop = plan(src, dst);
  if (loop.numel() == 0) return;
  const Operation op = operation(src.dtype(), dst.dtype());
  const char* from = static_cast<const char*>(src.raw());
  char* to = static_cast<char*>(dst.raw());
  const int64_t src_size = static_cast<int64_t>(size_of(src.dtype()));
  const int64_t dst_size = static_cast<int64_t>(size_of(dst.dtype()));
  if (const int dim = transposed_dim(loop); dim >= 0) {
    copy_blocks(loop, dim, op, from, src_size, to, dst_size);
  } else {
    parallel_for(loop.numel(), kGrain, [&](int64_t begin, int64_t end) {
      loop.for_each_row(begin, end, [&](const StridedLoop::Offsets& at, int64_t n) {
        op.row(from + at[0] * src_size, loop.step(0), to + at[1] * dst_size, loop.step(1), n);
      });
    });
  }
  dst.bump_version();
}

void fill(const Tensor& dst, double value) { copy(cast(Tensor::scalar(value), dst.dtype()), dst); }

Tensor contiguous(const Tensor& x) { return contiguous_as(x, x.dtype()); }

Tensor cast(const Tensor& x, DType dtype) {
  return x.dtype() == dtype ? x : contiguous_as(x, dtype);
}

Tensor contiguous_as(const Tensor& x, DType dtype) {
  if (x.is_contiguous() && x.dtype() == dtype) return x;
  Tensor out = Tensor::empty(x.shape(), dtype, x.device());
  copy(x, out);
  return out;
}

}  // namespace heed::kernels
