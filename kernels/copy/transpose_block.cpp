// A register holds, of each of its blocks of 128 bits, elements r ... r + n - 1 of another column
// of the source (n elements are 128 bits); n registers hold n neighbouring columns in each block. A
// transposition within the blocks then makes n registers of whole rows of the target: a row of
// 64 bytes is a cache line, written at once.
#include "kernels/copy/transpose_block.h"

#include <algorithm>
#include <array>

#include "core/error.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/copy/transpose_block.cpp"
#include "kernels/simd.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Block k from at + k step.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> load_blocks(D d, const T* at, int64_t step) {
  if constexpr (hn::MaxLanes(D()) * sizeof(T) == 16) {
    return hn::LoadU(d, at);
  } else {
    const hn::Half<D> half;
    const int64_t blocks = static_cast<int64_t>(hn::MaxLanes(half) * sizeof(T) / 16);
    return hn::Combine(d, load_blocks(half, at + blocks * step, step), load_blocks(half, at, step));
  }
}

// Rows r0 ... r0 + n - 1 of as many columns as a register has lanes.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void transpose_tile(D d, const T* from, int64_t from_step, T* to, int64_t to_step) {
  constexpr size_t kSide = 16 / sizeof(T);
  hn::Vec<D> x[kSide], y[kSide];
  for (size_t i = 0; i < kSide; ++i) {
    x[i] = load_blocks(d, from + static_cast<int64_t>(i) * from_step,
                       static_cast<int64_t>(kSide) * from_step);
  }
  // Each round interleaves a register with the one half the side further on.
  for (size_t done = 1; done < kSide; done *= 2) {
    for (size_t i = 0; i < kSide / 2; ++i) {
      y[2 * i] = hn::InterleaveLower(d, x[i], x[i + kSide / 2]);
      y[2 * i + 1] = hn::InterleaveUpper(d, x[i], x[i + kSide / 2]);
    }
    for (size_t i = 0; i < kSide; ++i) x[i] = y[i];
  }
  for (size_t i = 0; i < kSide; ++i) hn::StoreU(x[i], d, to + static_cast<int64_t>(i) * to_step);
}

// Columns [c, columns) in steps of d's lanes as long as they are whole; returns the first left.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE int64_t transpose_columns(D d, const T* from, int64_t from_step, T* to, int64_t to_step,
                                     int64_t rows, int64_t c, int64_t columns) {
  constexpr int64_t kSide = 16 / sizeof(T);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (; c + lanes <= columns; c += lanes) {
    int64_t r = 0;
    for (; r + kSide <= rows; r += kSide) {
      transpose_tile(d, from + r + c * from_step, from_step, to + r * to_step + c, to_step);
    }
    for (; r < rows; ++r) {
      for (int64_t i = c; i < c + lanes; ++i) to[r * to_step + i] = from[r + i * from_step];
    }
  }
  return c;
}

template <class T>
void transpose(const void* source, int64_t from_step, void* target, int64_t to_step, int64_t rows,
               int64_t columns) {
  // Rows whose cache lines are being filled: few enough for the first cache, and many enough for a
  // source line to be used up.
  constexpr int64_t kRows = 256;
  const hn::CappedTag<T, 64 / sizeof(T)> d;
  const hn::Full128<T> block;
  for (int64_t r = 0; r < rows; r += kRows) {
    const T* from = static_cast<const T*>(source) + r;
    T* to = static_cast<T*>(target) + r * to_step;
    const int64_t n = std::min(kRows, rows - r);
    int64_t c = transpose_columns(d, from, from_step, to, to_step, n, 0, columns);
    c = transpose_columns(block, from, from_step, to, to_step, n, c, columns);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t k = c; k < columns; ++k) to[i * to_step + k] = from[i + k * from_step];
    }
  }
}

TransposeFn choose(size_t size) {
  switch (size) {
    case 1:
      return transpose<uint8_t>;
    case 2:
      return transpose<uint16_t>;
    case 4:
      return transpose<uint32_t>;
    case 8:
      return transpose<uint64_t>;
    default:
      return nullptr;
  }
}

}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

HWY_EXPORT(choose);

TransposeFn transpose_fn(size_t size) {
  const TransposeFn fn = HWY_DYNAMIC_DISPATCH(choose)(size);
  HEED_CHECK(fn != nullptr, "no element has {} bytes", size);
  return fn;
}

}  // namespace heed::kernels
#endif
