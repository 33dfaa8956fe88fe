// The elementwise functors for a device: the same files that the CPU's SIMD code includes
// (functors-inl.h, activations-inl.h), over functions of float and double.
#pragma once

#include <cuda_runtime.h>

#include <cmath>

#include "core/element.h"

#define HEED_DEVICE_FUNCTORS 1
#define HWY_NAMESPACE on_device
#define HWY_BEFORE_NAMESPACE() static_assert(true)
#define HWY_AFTER_NAMESPACE() static_assert(true)

namespace heed::kernels::on_device {

__device__ inline float exp(float x) { return ::expf(x); }
__device__ inline float log(float x) { return ::logf(x); }
__device__ inline float sqrt(float x) { return ::sqrtf(x); }
__device__ inline float tanh(float x) { return ::tanhf(x); }
__device__ inline float sin(float x) { return ::sinf(x); }
__device__ inline float cos(float x) { return ::cosf(x); }
__device__ inline float pow(float x, float p) { return ::powf(x, p); }
__device__ inline float expm1(float x) { return ::expm1f(x); }
__device__ inline float log1p(float x) { return ::log1pf(x); }
__device__ inline float erf(float x) { return ::erff(x); }
__device__ inline float abs(float x) { return ::fabsf(x); }
__device__ inline float erfc(float x) { return ::erfcf(x); }
__device__ inline double exp(double x) { return ::exp(x); }
__device__ inline double log(double x) { return ::log(x); }
__device__ inline double sqrt(double x) { return ::sqrt(x); }
__device__ inline double tanh(double x) { return ::tanh(x); }
__device__ inline double sin(double x) { return ::sin(x); }
__device__ inline double cos(double x) { return ::cos(x); }
__device__ inline double pow(double x, double p) { return ::pow(x, p); }
__device__ inline double expm1(double x) { return ::expm1(x); }
__device__ inline double log1p(double x) { return ::log1p(x); }
__device__ inline double erf(double x) { return ::erf(x); }
__device__ inline double abs(double x) { return ::fabs(x); }
__device__ inline double erfc(double x) { return ::erfc(x); }

template <class T>
__device__ T sigmoid(T x) {
  return T(1) / (T(1) + exp(-x));
}
template <class T>
__device__ T normal_cdf(T x) {
  return T(0.5) * erfc(x * T(-0.70710678118654752));
}
template <class T>
__device__ T normal_cdf_plus_x_pdf(T x) {
  return normal_cdf(x) + x * T(0.39894228040143268) * exp(T(-0.5) * x * x);
}
template <class T>
__device__ T where_positive(T x, T value) {
  return x > T(0) ? value : T(0);
}
template <class T>
__device__ T unless_negative(T x, T value) {
  return x < T(0) ? T(0) : value;
}
template <class T>
__device__ T if_greater(T a, T b, T yes, T no) {
  return a > b ? yes : no;
}
template <class T>
__device__ T if_equal(T a, T b, T yes, T no) {
  return a == b ? yes : no;
}
template <class T>
__device__ T if_nan(T a, T yes, T no) {
  return a != a ? yes : no;
}

}  // namespace heed::kernels::on_device

#include "kernels/elementwise/activations-inl.h"
#include "kernels/elementwise/functors-inl.h"
