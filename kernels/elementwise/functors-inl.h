// Every elementwise function with its derivative, written once for a number type T: double, float
// (also in device code) and Pack, a SIMD vector of f32. A unary functor has
//   forward(x)
//   backward(dy, saved)   the gradient of x; `saved` is y where kSavesOutput, else x.
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_ELEMENTWISE_FUNCTORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_ELEMENTWISE_FUNCTORS_INL_H_
#undef HEED_KERNELS_ELEMENTWISE_FUNCTORS_INL_H_
#else
#define HEED_KERNELS_ELEMENTWISE_FUNCTORS_INL_H_
#endif

#if !defined(HEED_DEVICE_FUNCTORS)  // kernels/cuda/functors.h brings the functions for a device
#include "kernels/elementwise/pack-inl.h"
#endif

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {

struct Neg {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return -x;
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T) {
    return -dy;
  }
};

struct Exp {
  static constexpr bool kSavesOutput = true;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return exp(x);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T y) {
    return dy * y;
  }
};

struct Log {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return log(x);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x) {
    return dy / x;
  }
};

struct Sqrt {
  static constexpr bool kSavesOutput = true;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return sqrt(x);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T y) {
    return T(0.5) * dy / y;
  }
};

struct Rsqrt {
  static constexpr bool kSavesOutput = true;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return T(1) / sqrt(x);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T y) {
    return T(-0.5) * dy * (y * y * y);
  }
};

struct Square {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return x * x;
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x) {
    return T(2) * dy * x;
  }
};

struct Tanh {
  static constexpr bool kSavesOutput = true;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return tanh(x);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T y) {
    return dy * (T(1) - y * y);
  }
};

struct Sigmoid {
  static constexpr bool kSavesOutput = true;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return sigmoid(x);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T y) {
    return dy * (y * (T(1) - y));
  }
};

struct Relu {
  static constexpr bool kSavesOutput = true;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return unless_negative(x, x);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T y) {
    return where_positive(y, dy);
  }
};

// x s(x), s the sigmoid; derivative s (1 + x (1 - s)).
struct Silu {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return x * sigmoid(x);
  }
  template <class T>
  HEED_HOST_DEVICE static T derivative(T x, T s) {
    return s * (T(1) + x * (T(1) - s));
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x) {
    return dy * derivative(x, sigmoid(x));
  }
};

// x Phi(x); derivative Phi(x) + x phi(x).
struct Gelu {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return x * normal_cdf(x);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x) {
    return dy * normal_cdf_plus_x_pdf(x);
  }
};

// 0.5 x (1 + tanh(u)) = x s(2u), s the sigmoid, u = sqrt(2/pi) (x + 0.044715 x^3).
struct GeluTanh {
  static constexpr bool kSavesOutput = false;
  static constexpr double kScale = 1.5957691216057308;  // 2 sqrt(2/pi)
  static constexpr double kCubic = 0.044715;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return x * sigmoid(T(kScale) * x * (T(1) + T(kCubic) * x * x));
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x) {
    const T x2 = x * x;
    const T s = sigmoid(T(kScale) * x * (T(1) + T(kCubic) * x2));
    return dy * (s + x * s * (T(1) - s) * T(kScale) * (T(1) + T(3 * kCubic) * x2));
  }
};

// The slope at 0 is 0.
struct Abs {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return abs(x);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x) {
    return if_greater(x, T(0), dy, if_greater(T(0), x, -dy, T(0)));
  }
};

// -1, 0, 1; NaN stays NaN.
struct Sign {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return if_greater(x, T(0), T(1), if_greater(T(0), x, T(-1), x));
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T, T) {
    return T(0);
  }
};

struct Sin {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return sin(x);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x) {
    return dy * cos(x);
  }
};

struct Cos {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return cos(x);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x) {
    return -dy * sin(x);
  }
};

struct Expm1 {
  static constexpr bool kSavesOutput = true;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return expm1(x);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T y) {
    return dy * (y + T(1));
  }
};

struct Log1p {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return log1p(x);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x) {
    return dy / (x + T(1));
  }
};

// The slope is 2 / sqrt(pi) e^(-x^2).
struct Erf {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return erf(x);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x) {
    return dy * T(1.1283791670955126) * exp(-(x * x));
  }
};

// x^a.
struct Pow {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x, T a, T) {
    return pow(x, a);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x, T a, T) {
    return if_equal(a, T(0), T(0), dy * a * pow(x, a - T(1)));
  }
};

// Binary and ternary functions.

struct Add {
  template <class T>
  HEED_HOST_DEVICE static T forward(T a, T b) {
    return a + b;
  }
};

struct Sub {
  template <class T>
  HEED_HOST_DEVICE static T forward(T a, T b) {
    return a - b;
  }
};

struct Mul {
  template <class T>
  HEED_HOST_DEVICE static T forward(T a, T b) {
    return a * b;
  }
};

struct Div {
  template <class T>
  HEED_HOST_DEVICE static T forward(T a, T b) {
    return a / b;
  }
};

// The gradient of b in y = a / b.
struct DivDenominator {
  template <class T>
  HEED_HOST_DEVICE static T forward(T dy, T y, T b) {
    return -dy * y / b;
  }
};

// NaN where either is. The gradient goes to a where they are equal.
struct Maximum {
  template <class T>
  HEED_HOST_DEVICE static T choose(T a, T b, T first, T second) {
    return if_greater(b, a, second, if_nan(b, if_nan(a, first, second), first));
  }
  template <class T>
  HEED_HOST_DEVICE static T forward(T a, T b) {
    return choose(a, b, a, b);
  }
  template <class T>
  HEED_HOST_DEVICE static void backward(T dy, T a, T b, T& da, T& db) {
    da = choose(a, b, dy, T(0));
    db = choose(a, b, T(0), dy);
  }
};

struct Minimum {
  template <class T>
  HEED_HOST_DEVICE static T choose(T a, T b, T first, T second) {
    return if_greater(a, b, second, if_nan(b, if_nan(a, first, second), first));
  }
  template <class T>
  HEED_HOST_DEVICE static T forward(T a, T b) {
    return choose(a, b, a, b);
  }
  template <class T>
  HEED_HOST_DEVICE static void backward(T dy, T a, T b, T& da, T& db) {
    da = choose(a, b, dy, T(0));
    db = choose(a, b, T(0), dy);
  }
};

// a^b. The slope by b is 0 at a = 0, where it has no other limit for b > 0.
struct Power {
  template <class T>
  HEED_HOST_DEVICE static T forward(T a, T b) {
    return pow(a, b);
  }
  template <class T>
  HEED_HOST_DEVICE static void backward(T dy, T a, T b, T& da, T& db) {
    da = if_equal(b, T(0), T(0), dy * b * pow(a, b - T(1)));
    db = if_equal(a, T(0), T(0), dy * pow(a, b) * log(a));
  }
};

// silu(gate) * up.
struct SwiGlu {
  template <class T>
  HEED_HOST_DEVICE static T forward(T gate, T up) {
    return gate * sigmoid(gate) * up;
  }
  template <class T>
  HEED_HOST_DEVICE static void backward(T dy, T gate, T up, T& dgate, T& dup) {
    const T s = sigmoid(gate);
    dgate = dy * up * Silu::derivative(gate, s);
    dup = dy * gate * s;
  }
};

}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
