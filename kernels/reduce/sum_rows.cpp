#include "kernels/reduce/sum_rows.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/reduce/sum_rows.cpp"
#include "kernels/simd.h"
// after simd.h
#include "kernels/simd_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
namespace sm = heed::simd::HWY_NAMESPACE;

// Vectors of the type that sums of T are kept in.
template <class T>
using SumTag = hn::ScalableTag<accumulate_t<T>>;

template <class D, class T>
HWY_INLINE hn::Vec<D> load(D d, const T* from) {
  if constexpr (std::is_same_v<T, double>) {
    return hn::LoadU(d, from);
  } else {
    return sm::load_f32(d, from);
  }
}

template <class T>
accumulate_t<T> row(const T* x, int64_t n) {
  const SumTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    s0 = hn::Add(s0, load(d, x + i));
    s1 = hn::Add(s1, load(d, x + i + lanes));
    s2 = hn::Add(s2, load(d, x + i + 2 * lanes));
    s3 = hn::Add(s3, load(d, x + i + 3 * lanes));
  }
  for (; i + lanes <= n; i += lanes) s0 = hn::Add(s0, load(d, x + i));
  auto total = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
  for (; i < n; ++i) total += static_cast<accumulate_t<T>>(x[i]);
  return total;
}

// Down the rows in the order of memory, four at a time, so that the sums are read and written a
// quarter as often.
template <class T>
void columns(const T* x, int64_t rows, int64_t stride, int64_t n, accumulate_t<T>* sum) {
  using Sum = accumulate_t<T>;
  const SumTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  std::fill_n(sum, n, Sum{0});
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const T *x0 = x + r * stride, *x1 = x0 + stride, *x2 = x1 + stride, *x3 = x2 + stride;
    int64_t c = 0;
    for (; c + lanes <= n; c += lanes) {
      const auto pair0 = hn::Add(load(d, x0 + c), load(d, x1 + c));
      const auto pair1 = hn::Add(load(d, x2 + c), load(d, x3 + c));
      hn::StoreU(hn::Add(hn::LoadU(d, sum + c), hn::Add(pair0, pair1)), d, sum + c);
    }
    for (; c < n; ++c) {
      const Sum pair0 = static_cast<Sum>(x0[c]) + static_cast<Sum>(x1[c]);
      const Sum pair1 = static_cast<Sum>(x2[c]) + static_cast<Sum>(x3[c]);
      sum[c] += pair0 + pair1;
    }
  }
  for (; r < rows; ++r) {
    const T* at = x + r * stride;
    int64_t c = 0;
    for (; c + lanes <= n; c += lanes) {
      hn::StoreU(hn::Add(hn::LoadU(d, sum + c), load(d, at + c)), d, sum + c);
    }
    for (; c < n; ++c) sum[c] += static_cast<Sum>(at[c]);
  }
}

float row_f32(const float* x, int64_t n) { return row(x, n); }
float row_bf16(const bfloat16* x, int64_t n) { return row(x, n); }
double row_f64(const double* x, int64_t n) { return row(x, n); }
void columns_f32(const float* x, int64_t rows, int64_t stride, int64_t n, float* sum) {
  columns(x, rows, stride, n, sum);
}
void columns_bf16(const bfloat16* x, int64_t rows, int64_t stride, int64_t n, float* sum) {
  columns(x, rows, stride, n, sum);
}
void columns_f64(const double* x, int64_t rows, int64_t stride, int64_t n, double* sum) {
  columns(x, rows, stride, n, sum);
}

}  // namespace
}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

HWY_EXPORT(row_f32);
HWY_EXPORT(row_bf16);
HWY_EXPORT(row_f64);
HWY_EXPORT(columns_f32);
HWY_EXPORT(columns_bf16);
HWY_EXPORT(columns_f64);

float sum_row(const float* x, int64_t n) { return HWY_DYNAMIC_DISPATCH(row_f32)(x, n); }
float sum_row(const bfloat16* x, int64_t n) { return HWY_DYNAMIC_DISPATCH(row_bf16)(x, n); }
double sum_row(const double* x, int64_t n) { return HWY_DYNAMIC_DISPATCH(row_f64)(x, n); }

void sum_columns(const float* x, int64_t rows, int64_t stride, int64_t columns, float* sum) {
  HWY_DYNAMIC_DISPATCH(columns_f32)(x, rows, stride, columns, sum);
}
void sum_columns(const bfloat16* x, int64_t rows, int64_t stride, int64_t columns, float* sum) {
  HWY_DYNAMIC_DISPATCH(columns_bf16)(x, rows, stride, columns, sum);
}
void sum_columns(const double* x, int64_t rows, int64_t stride, int64_t columns, double* sum) {
  HWY_DYNAMIC_DISPATCH(columns_f64)(x, rows, stride, columns, sum);
}

}  // namespace heed::kernels
#endif
