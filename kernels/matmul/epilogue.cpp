// The activation of a product's tile, and its gradient fused with the bias's column sums.
//
// Both are memory-bound: activate_tile reads a tile from the cache that its product just filled;
// activation_backward reads dy and z once and writes dz once.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul/epilogue.cpp"
#include "kernels/matmul/epilogue.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/parallel.h"
#include "kernels/matmul/matmul.h"
#include "kernels/simd.h"
#include "kernels/simd_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
namespace simd = heed::simd::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr D d;

constexpr float kSqrt2OverPi = 0.797884561f;
constexpr float kCubic = 0.044715f;

template <Activation kActivation>
HWY_INLINE V value(V x) {
  if constexpr (kActivation == Activation::relu) return hn::Max(x, hn::Zero(d));
  if constexpr (kActivation == Activation::gelu) return hn::Mul(x, simd::normal(d, x).cdf);
  if constexpr (kActivation == Activation::silu) return hn::Mul(x, simd::sigmoid(d, x));
  if constexpr (kActivation == Activation::gelu_tanh) {
    // 0.5 (1 + tanh u) is sigmoid(2u)
    const V cube = hn::MulAdd(hn::Mul(hn::Mul(x, x), x), hn::Set(d, kCubic), x);
    return hn::Mul(x, simd::sigmoid(d, hn::Mul(cube, hn::Set(d, 2 * kSqrt2OverPi))));
  }
  return x;
}

template <Activation kActivation>
HWY_INLINE V slope(V x) {
  const V one = hn::Set(d, 1.0f);
  if constexpr (kActivation == Activation::relu) {
    return hn::IfThenElseZero(hn::Gt(x, hn::Zero(d)), one);
  }
  if constexpr (kActivation == Activation::gelu) {
    const auto normal = simd::normal(d, x);
    return hn::MulAdd(x, normal.pdf, normal.cdf);
  }
  if constexpr (kActivation == Activation::silu) {
    const V s = simd::sigmoid(d, x);
    return hn::Mul(s, hn::MulAdd(x, hn::Sub(one, s), one));
  }
  if constexpr (kActivation == Activation::gelu_tanh) {
    const V square = hn::Mul(x, x);
    const V cube = hn::MulAdd(hn::Mul(square, x), hn::Set(d, kCubic), x);
    const V s = simd::sigmoid(d, hn::Mul(cube, hn::Set(d, 2 * kSqrt2OverPi)));
    const V inner =
        hn::MulAdd(square, hn::Set(d, 6 * kSqrt2OverPi * kCubic), hn::Set(d, 2 * kSqrt2OverPi));
    return hn::MulAdd(hn::Mul(hn::Mul(s, hn::Sub(one, s)), inner), x, s);
  }
  return one;
}

// Calls fn(column, count) with whole vectors first; the rest goes through padded copies with the
// same arithmetic.
template <class T, Activation kActivation>
void activate_row(const T* from, T* to, int64_t n) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    simd::store_f32(d, value<kActivation>(simd::load_f32(d, from + i)), to + i);
  if (i < n) {
    T padded[hn::MaxLanes(D())] = {};
    std::copy(from + i, from + n, padded);
    simd::store_f32(d, value<kActivation>(simd::load_f32(d, padded)), padded);
    std::copy(padded, padded + (n - i), to + i);
  }
}

template <class T>
using RowFn = void (*)(const T*, T*, int64_t);

template <class T>
RowFn<T> row_fn(Activation activation) {
  switch (activation) {
    case Activation::relu:
      return activate_row<T, Activation::relu>;
    case Activation::gelu:
      return activate_row<T, Activation::gelu>;
    case Activation::gelu_tanh:
      return activate_row<T, Activation::gelu_tanh>;
    case Activation::silu:
      return activate_row<T, Activation::silu>;
    case Activation::none:
      break;
  }
  return activate_row<T, Activation::none>;
}

template <class T>
void activate_rows(Activation activation, int64_t rows, int64_t cols, const T* from,
                   int64_t from_stride, T* to, int64_t to_stride) {
  const RowFn<T> fn = row_fn<T>(activation);
  for (int64_t r = 0; r < rows; ++r) fn(from + r * from_stride, to + r * to_stride, cols);
}

void activate_f32(Activation activation, int64_t rows, int64_t cols, const float* from,
                  int64_t from_stride, float* to, int64_t to_stride) {
  activate_rows(activation, rows, cols, from, from_stride, to, to_stride);
}
void activate_bf16(Activation activation, int64_t rows, int64_t cols, const bfloat16* from,
                   int64_t from_stride, bfloat16* to, int64_t to_stride) {
  activate_rows(activation, rows, cols, from, from_stride, to, to_stride);
}

// dz = dy * slope(z) and sums += dz for one row; dz null: only the sums, of dy.
template <class T, Activation kActivation>
HWY_INLINE void backward_vector(const T* dy, const T* z, T* dz, float* sums) {
  V g = simd::load_f32(d, dy);
  if constexpr (kActivation != Activation::none) {
    g = hn::Mul(g, slope<kActivation>(simd::load_f32(d, z)));
    simd::store_f32(d, g, dz);
  }
  hn::StoreU(hn::Add(hn::LoadU(d, sums), g), d, sums);
}

template <class T, Activation kActivation>
void backward_row(const T* dy, const T* z, T* dz, float* sums, int64_t n) {
  constexpr bool kActive = kActivation != Activation::none;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    backward_vector<T, kActivation>(dy + i, kActive ? z + i : nullptr, kActive ? dz + i : nullptr,
                                    sums + i);
  }
  if (i < n) {
    constexpr size_t kMax = hn::MaxLanes(D());
    T pdy[kMax] = {}, pz[kMax] = {}, pdz[kMax] = {};
    float psums[kMax] = {};
    std::copy(dy + i, dy + n, pdy);
    if (kActive) std::copy(z + i, z + n, pz);
    std::copy(sums + i, sums + n, psums);
    backward_vector<T, kActivation>(pdy, pz, pdz, psums);
    if (kActive) std::copy(pdz, pdz + (n - i), dz + i);
    std::copy(psums, psums + (n - i), sums + i);
  }
}

template <class T>
using BackwardRowFn = void (*)(const T*, const T*, T*, float*, int64_t);

template <class T>
BackwardRowFn<T> backward_row_fn(Activation activation) {
  switch (activation) {
    case Activation::relu:
      return backward_row<T, Activation::relu>;
    case Activation::gelu:
      return backward_row<T, Activation::gelu>;
    case Activation::gelu_tanh:
      return backward_row<T, Activation::gelu_tanh>;
    case Activation::silu:
      return backward_row<T, Activation::silu>;
    case Activation::none:
      break;
  }
  return backward_row<T, Activation::none>;
}

template <class T>
void backward_rows(Activation activation, int64_t rows, int64_t n, const T* dy, const T* z, T* dz,
                   float* sums) {
  const BackwardRowFn<T> fn = backward_row_fn<T>(activation);
  for (int64_t r = 0; r < rows; ++r) {
    fn(dy + r * n, z ? z + r * n : nullptr, dz ? dz + r * n : nullptr, sums, n);
  }
}

void backward_f32(Activation activation, int64_t rows, int64_t n, const float* dy, const float* z,
                  float* dz, float* sums) {
  backward_rows(activation, rows, n, dy, z, dz, sums);
}
void backward_bf16(Activation activation, int64_t rows, int64_t n, const bfloat16* dy,
                   const bfloat16* z, bfloat16* dz, float* sums) {
  backward_rows(activation, rows, n, dy, z, dz, sums);
}

}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {
namespace {

HWY_EXPORT(activate_f32);
HWY_EXPORT(activate_bf16);
HWY_EXPORT(backward_f32);
HWY_EXPORT(backward_bf16);

double value_f64(Activation activation, double x) {
  switch (activation) {
    case Activation::none:
      break;
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::gelu:
      return 0.5 * x * std::erfc(-x * M_SQRT1_2);
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 * M_1_PI) * (x + 0.044715 * x * x * x)));
    case Activation::silu:
      return x / (1 + std::exp(-x));
  }
  return x;
}

double slope_f64(Activation activation, double x) {
  switch (activation) {
    case Activation::none:
      break;
    case Activation::relu:
      return x > 0 ? 1.0 : 0.0;
    case Activation::gelu:
      return 0.5 * std::erfc(-x * M_SQRT1_2) + x * std::exp(-0.5 * x * x) / std::sqrt(2 * M_PI);
    case Activation::gelu_tanh: {
      const double t = std::tanh(std::sqrt(2 * M_1_PI) * (x + 0.044715 * x * x * x));
      return 0.5 * (1 + t) +
             0.5 * x * (1 - t * t) * std::sqrt(2 * M_1_PI) * (1 + 3 * 0.044715 * x * x);
    }
    case Activation::silu: {
      const double s = 1 / (1 + std::exp(-x));
      return s * (1 + x * (1 - s));
    }
  }
  return 1.0;
}

void backward_f64(Activation activation, int64_t rows, int64_t n, const double* dy, const double* z,
                  double* dz, double* sums) {
  for (int64_t i = 0; i < rows * n; ++i) {
    const double g = z == nullptr ? dy[i] : dy[i] * slope_f64(activation, z[i]);
    if (dz != nullptr) dz[i] = g;
    sums[i % n] += g;
  }
}

// Column sums are kept per chunk of rows and added in chunk order.
constexpr int64_t kRowsPerChunk = 64;

template <class T, class Fn>
Tensor backward_chunks(const Tensor& dy, const Tensor& z, const Tensor& dz, Fn&& fn) {
  using A = accumulate_t<T>;
  const int64_t rows = dy.size(0), n = dy.size(1);
  const int64_t chunks = (rows + kRowsPerChunk - 1) / kRowsPerChunk;
  const Tensor partial = Tensor::zeros({chunks, n}, dtype_of<A>());
  const bool active = z.defined();
  parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const int64_t row = c * kRowsPerChunk, count = std::min(kRowsPerChunk, rows - row);
      fn(count, n, dy.data<T>() + row * n, active ? z.data<T>() + row * n : nullptr,
         active ? dz.data<T>() + row * n : nullptr, partial.data<A>() + c * n);
    }
  });
  const Tensor sum = Tensor::zeros({n}, dtype_of<A>());
  A* total = sum.data<A>();
  for (int64_t c = 0; c < chunks; ++c) {
    const A* part = partial.data<A>() + c * n;
    for (int64_t i = 0; i < n; ++i) total[i] += part[i];
  }
  return sum;
}

}  // namespace

void activate_tile(Activation activation, DType dtype, int64_t rows, int64_t cols, const void* from,
                   int64_t from_stride, void* to, int64_t to_stride) {
  switch (dtype) {
    case DType::f32:
      HWY_DYNAMIC_DISPATCH(activate_f32)
      (activation, rows, cols, static_cast<const float*>(from), from_stride,
       static_cast<float*>(to), to_stride);
      return;
    case DType::bf16:
      HWY_DYNAMIC_DISPATCH(activate_bf16)
      (activation, rows, cols, static_cast<const bfloat16*>(from), from_stride,
       static_cast<bfloat16*>(to), to_stride);
      return;
    default:
      break;
  }
  HEED_CHECK(dtype == DType::f64, "activation: no kernel for {}", name_of(dtype));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      static_cast<double*>(to)[r * to_stride + c] =
          value_f64(activation, static_cast<const double*>(from)[r * from_stride + c]);
    }
  }
}

ActivationGradients activation_backward(Activation activation, const Tensor& dy, const Tensor& z,
                                        bool want_bias) {
  const bool active = activation != Activation::none;
  HEED_CHECK(dy.rank() == 2 && dy.is_contiguous(), "activation gradient: dy {} is no dense matrix",
             dy);
  HEED_CHECK(!active || (z.shape() == dy.shape() && z.dtype() == dy.dtype() && z.is_contiguous()),
             "activation gradient: dy {} beside z {}", dy, z);
  if (!active && !want_bias) return {dy, {}};
  const Tensor input = active ? z : Tensor();
  const Tensor dz = active ? Tensor::empty(dy.shape(), dy.dtype(), dy.device()) : dy;
  const auto run = [&](auto type) {
    using T = decltype(type);
    return backward_chunks<T>(
        dy, input, dz,
        [&](int64_t rows, int64_t n, const T* pdy, const T* pz, T* pdz, accumulate_t<T>* sums) {
          if constexpr (std::is_same_v<T, float>) {
            HWY_DYNAMIC_DISPATCH(backward_f32)(activation, rows, n, pdy, pz, pdz, sums);
          } else if constexpr (std::is_same_v<T, bfloat16>) {
            HWY_DYNAMIC_DISPATCH(backward_bf16)(activation, rows, n, pdy, pz, pdz, sums);
          } else {
            backward_f64(activation, rows, n, pdy, pz, pdz, sums);
          }
        });
  };
  const Tensor sums = dispatch_floating(dy.dtype(), "activation gradient", run);
  return {dz, want_bias ? sums : Tensor()};
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
