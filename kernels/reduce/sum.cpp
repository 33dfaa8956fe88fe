// Sums, one group of neighbouring dimensions at a time, the last group first: x seen as
// [outer, n, inner] becomes [outer, inner]. Rows (inner = 1) are cut into pieces, columns into
// blocks of rows; both cuts depend on the shape alone, and their partial sums are added in order.
#include <algorithm>

#include "core/op_call.h"
#include "core/parallel.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/binary.h"
#include "kernels/reduce/device_reductions.h"
#include "kernels/reduce/reduce.h"
#include "kernels/reduce/sum_rows.h"

namespace heed::kernels {

DeviceKernel<void(const SumPieces&)> sum_cuda;

namespace {

constexpr int64_t kWork = 32768;       // elements of a chunk
constexpr int64_t kPiece = 4096;       // elements of a row that are summed in f32
constexpr int64_t kRowBlock = 128;     // rows that are summed in f32, one after the other
constexpr int64_t kColumnBlock = 512;  // columns of a task

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T>
void sum_last(const T* x, int64_t outer, int64_t n, accumulate_t<T>* out) {
  const int64_t pieces = std::max<int64_t>(ceil_div(n, kPiece), 1);
  if (pieces == 1) {
    parallel_for(outer, kWork / std::max<int64_t>(n, 1), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = sum_row(x + i * n, n);
    });
    return;
  }
  std::vector<accumulate_t<T>> partial(static_cast<size_t>(outer * pieces));
  parallel_for(outer * pieces, kWork / kPiece, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % pieces * kPiece;
      partial[static_cast<size_t>(i)] =
          sum_row(x + i / pieces * n + first, std::min(kPiece, n - first));
    }
  });
  for (int64_t i = 0; i < outer; ++i) {
    double total = 0;
    for (int64_t p = 0; p < pieces; ++p) total += partial[static_cast<size_t>(i * pieces + p)];
    out[i] = static_cast<accumulate_t<T>>(total);
  }
}

template <class T>
void sum_middle(const T* x, int64_t outer, int64_t n, int64_t inner, accumulate_t<T>* out) {
  using Sum = accumulate_t<T>;
  const int64_t row_blocks = std::max<int64_t>(ceil_div(n, kRowBlock), 1);
  const int64_t column_blocks = ceil_div(inner, kColumnBlock);
  std::vector<Sum> partial(row_blocks > 1 ? static_cast<size_t>(outer * row_blocks * inner) : 0);
  Sum* blocks = row_blocks > 1 ? partial.data() : out;
  const int64_t work = std::min(n, kRowBlock) * std::min(inner, kColumnBlock);
  parallel_for(outer * row_blocks * column_blocks, kWork / std::max<int64_t>(work, 1),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t c = i % column_blocks * kColumnBlock;
                   const int64_t block = i / column_blocks;  // outer * row_blocks + row block
                   const int64_t r = block % row_blocks * kRowBlock;
                   sum_columns(x + (block / row_blocks * n + r) * inner + c,
                               std::min(kRowBlock, n - r), inner, std::min(kColumnBlock, inner - c),
                               blocks + block * inner + c);
                 }
               });
  if (row_blocks > 1) sum_middle(static_cast<const Sum*>(blocks), outer, row_blocks, inner, out);
}

// The same on a device, where a sum is cut finer: there are many threads to feed.
Tensor sum_group_on_device(const Tensor& x, int64_t outer, int64_t n, int64_t inner) {
  constexpr int64_t kRowPiece = 16384, kColumnPiece = 256;
  const DType sums = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  SumPieces s{x.dtype(), outer, n, inner, inner == 1 ? kRowPiece : kColumnPiece, x.raw(), nullptr};
  const Tensor out = Tensor::empty({outer, s.pieces(), inner}, sums, x.device());
  s.out = out.raw();
  sum_cuda({"sum", x}, s);
  return s.pieces() == 1 ? out : sum_group_on_device(out, outer, s.pieces(), inner);
}

// x [outer, n, inner], row-major, to [outer, inner] of the accumulating type.
Tensor sum_group(const Tensor& x, int64_t outer, int64_t n, int64_t inner) {
  if (x.device().is_cuda()) return sum_group_on_device(x, outer, n, inner);
  return dispatch_floating(x.dtype(), "sum", [&](auto type) {
    using T = decltype(type);
    const Tensor out = Tensor::empty({outer, inner}, dtype_of<accumulate_t<T>>(), x.device());
    accumulate_t<T>* to = out.data<accumulate_t<T>>();
    if (inner == 1) {
      sum_last(x.data<T>(), outer, n, to);
    } else if (outer * inner > 0) {
      sum_middle(x.data<T>(), outer, n, inner, to);
    }
    return out;
  });
}

}  // namespace

Tensor sum(const Tensor& x, const std::vector<int>& dims, bool keepdim, double scale) {
  HEED_CHECK(is_floating(x.dtype()), "sum: needs a floating tensor, got {}", x);
  std::array<bool, kMaxRank> reduced{};
  for (int d = 0; d < x.rank(); ++d) reduced[static_cast<size_t>(d)] = dims.empty();
  for (const int d : dims) {
    const size_t i = static_cast<size_t>(x.shape().dim_index(d, "sum"));
    HEED_CHECK(!reduced[i], "sum: dimension {} of {} named twice", d, x);
    reduced[i] = true;
  }
  Tensor y = contiguous(x);
  int64_t inner = 1, outer = x.numel();
  // of an empty tensor: the products of extents would hide which of them are 0
  const bool empty = x.numel() == 0;
  for (int d = x.rank() - 1; d >= 0 && !empty;) {
    int64_t n = 1;
    const bool group = reduced[static_cast<size_t>(d)];
    for (; d >= 0 && reduced[static_cast<size_t>(d)] == group; --d) n *= x.shape()[d];
    outer /= n;
    if (group) {
      y = sum_group(y, outer, n, inner);
    } else {
      inner *= n;
    }
  }
  Shape shape;
  for (int d = 0; d < x.rank(); ++d) {
    if (!reduced[static_cast<size_t>(d)]) shape.push_back(x.shape()[d]);
    if (reduced[static_cast<size_t>(d)] && keepdim) shape.push_back(1);
  }
  if (empty) return Tensor::zeros(shape, x.dtype(), x.device());
  y = views::reshape(y, shape);
  return cast(scale == 1.0 ? y : binary(Binary::mul, y, scale), x.dtype());
}

Tensor column_sums(const Tensor& x) {
  HEED_CHECK(x.rank() == 2, "column sums: of {}", x);
  const DType sums = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  if (x.numel() == 0) return Tensor::zeros({x.size(1)}, sums, x.device());
  return views::reshape(sum_group(contiguous(x), 1, x.size(0), x.size(1)), {x.size(1)});
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int shift = x.rank() - shape.rank();
  std::vector<int> dims;
  for (int d = 0; d < x.rank(); ++d) {
    if (d < shift || (shape[d - shift] == 1 && x.shape()[d] != 1)) dims.push_back(d);
  }
  return views::reshape(dims.empty() ? x : sum(x, dims, true), shape);
}

}  // namespace heed::kernels
