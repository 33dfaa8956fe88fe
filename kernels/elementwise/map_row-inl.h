// The row function of a functor: f32 and bf16 by SIMD in f32, f64 element by element. The last,
// incomplete vector goes through a buffer and the same arithmetic, so that an element's result does
// not depend on where a row was cut.
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_ELEMENTWISE_MAP_ROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_ELEMENTWISE_MAP_ROW_INL_H_
#undef HEED_KERNELS_ELEMENTWISE_MAP_ROW_INL_H_
#else
#define HEED_KERNELS_ELEMENTWISE_MAP_ROW_INL_H_
#endif

#include <algorithm>
#include <array>

#include "kernels/elementwise/functors-inl.h"
#include "kernels/elementwise/map.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {

/// fn(std::array<N, kIn> inputs, std::array<N, kOut>& outputs) for N = Pack or double, over a row
/// of elements T.
template <class T, size_t kIn, size_t kOut, class Fn>
HWY_INLINE void map_row(const Row& row, Fn fn) {
  const int64_t n = row.n;
  std::array<const T*, kIn> in;
  std::array<T*, kOut> out;
  for (size_t k = 0; k < kIn; ++k) in[k] = static_cast<const T*>(row.in[k]);
  for (size_t k = 0; k < kOut; ++k) out[k] = static_cast<T*>(row.out[k]);
  if constexpr (std::is_same_v<T, double>) {
    for (int64_t i = 0; i < n; ++i) {
      std::array<double, kIn> x;
      std::array<double, kOut> y;
      for (size_t k = 0; k < kIn; ++k) x[k] = in[k] ? in[k][i] : row.number[k];
      fn(x, y);
      for (size_t k = 0; k < kOut; ++k) out[k][i] = y[k];
    }
  } else {
    const PackTag d;
    const int64_t lanes = Pack::lanes();
    std::array<Pack, kIn> number;
    for (size_t k = 0; k < kIn; ++k) number[k] = Pack(row.number[k]);
    const auto step = [&](const std::array<const T*, kIn>& from, const std::array<T*, kOut>& to,
                          int64_t i) HWY_ATTR {
      std::array<Pack, kIn> x;
      std::array<Pack, kOut> y;
      for (size_t k = 0; k < kIn; ++k) {
        x[k] = from[k] ? Pack(sm::load_f32(d, from[k] + i)) : number[k];
      }
      fn(x, y);
      for (size_t k = 0; k < kOut; ++k) sm::store_f32(d, y[k].v, to[k] + i);
    };
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes) step(in, out, i);
    if (i == n) return;
    constexpr size_t kLanes = 64 / sizeof(float);
    alignas(64) std::array<std::array<T, kLanes>, kIn> in_tail{};
    alignas(64) std::array<std::array<T, kLanes>, kOut> out_tail;
    std::array<const T*, kIn> from{};
    std::array<T*, kOut> to;
    for (size_t k = 0; k < kIn; ++k) {
      if (in[k] == nullptr) continue;
      std::copy(in[k] + i, in[k] + n, in_tail[k].begin());
      from[k] = in_tail[k].data();
    }
    for (size_t k = 0; k < kOut; ++k) to[k] = out_tail[k].data();
    step(from, to, 0);
    for (size_t k = 0; k < kOut; ++k) std::copy_n(to[k], n - i, out[k] + i);
  }
}

template <class Op, class T>
void unary_row(const Row& row) {
  map_row<T, 1, 1>(row, [](const auto& x, auto& y) HWY_ATTR { y[0] = Op::forward(x[0]); });
}

template <class Op, class T>
void unary_backward_row(const Row& row) {
  map_row<T, 2, 1>(row, [](const auto& x, auto& y) HWY_ATTR { y[0] = Op::backward(x[0], x[1]); });
}

template <class Op, class T>
void binary_row(const Row& row) {
  map_row<T, 2, 1>(row, [](const auto& x, auto& y) HWY_ATTR { y[0] = Op::forward(x[0], x[1]); });
}

template <class Op, class T>
void ternary_row(const Row& row) {
  map_row<T, 3, 1>(row,
                   [](const auto& x, auto& y) HWY_ATTR { y[0] = Op::forward(x[0], x[1], x[2]); });
}

}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
