// Activations that are put together from pieces, in the form of functors-inl.h; those with
// parameters take them as two further numbers a and b.
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_ELEMENTWISE_ACTIVATIONS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_ELEMENTWISE_ACTIVATIONS_INL_H_
#undef HEED_KERNELS_ELEMENTWISE_ACTIVATIONS_INL_H_
#else
#define HEED_KERNELS_ELEMENTWISE_ACTIVATIONS_INL_H_
#endif

#if !defined(HEED_DEVICE_FUNCTORS)  // kernels/cuda/functors.h brings the functions for a device
#include "kernels/elementwise/pack-inl.h"
#endif

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {

// min(max(x, 0), 6); the slope is 0 at both bends (MobileNet v1, arXiv 1704.04861).
struct Relu6 {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return if_greater(T(0), x, T(0), if_greater(x, T(6), T(6), x));
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x) {
    return if_greater(x, T(0), if_greater(T(6), x, dy, T(0)), T(0));
  }
};

// min(max(x + 3, 0), 6) / 6 (MobileNet v3, arXiv 1905.02244).
struct HardSigmoid {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return if_greater(T(-3), x, T(0), if_greater(x, T(3), T(1), x / T(6) + T(0.5)));
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x) {
    return if_greater(x, T(-3), if_greater(T(3), x, dy / T(6), T(0)), T(0));
  }
};

// x hard_sigmoid(x) (MobileNet v3, arXiv 1905.02244, section 5.2).
struct HardSwish {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x) {
    return x * HardSigmoid::forward(x);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x) {
    return if_greater(x, T(-3), if_greater(T(3), x, dy * (x / T(3) + T(0.5)), dy), T(0));
  }
};

// log(1 + e^(a x)) / a; x itself where a x > b.
struct Softplus {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x, T a, T b) {
    const T z = a * x;
    const T y = (if_greater(z, T(0), z, T(0)) + log1p(exp(-abs(z)))) / a;
    return if_greater(z, b, x, if_nan(x, x, y));
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x, T a, T b) {
    const T z = a * x;
    return if_greater(z, b, dy, dy * sigmoid(z));
  }
};

// x where positive, else a (e^x - 1) (arXiv 1511.07289).
struct Elu {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x, T a, T) {
    return if_greater(x, T(0), x, a * expm1(x));
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x, T a, T) {
    return if_greater(x, T(0), dy, dy * a * exp(x));
  }
};

// x where positive, else a x.
struct LeakyRelu {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x, T a, T) {
    return if_greater(x, T(0), x, a * x);
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x, T a, T) {
    return if_greater(x, T(0), dy, a * dy);
  }
};

// min(max(x, a), b); the slope is 1 at both bounds.
struct Clamp {
  static constexpr bool kSavesOutput = false;
  template <class T>
  HEED_HOST_DEVICE static T forward(T x, T a, T b) {
    return if_greater(a, x, a, if_greater(x, b, b, x));
  }
  template <class T>
  HEED_HOST_DEVICE static T backward(T dy, T x, T a, T b) {
    return if_greater(a, x, T(0), if_greater(x, b, T(0), dy));
  }
};

}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
