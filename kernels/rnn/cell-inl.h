// One step of the cells of rnn.h and its gradient, written once for double, float (also in device
// code) and Pack. Gates are sums of the input's and the state's before their nonlinearity.
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_RNN_CELL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_RNN_CELL_INL_H_
#undef HEED_KERNELS_RNN_CELL_INL_H_
#else
#define HEED_KERNELS_RNN_CELL_INL_H_
#endif

#if !defined(HEED_DEVICE_FUNCTORS)  // kernels/cuda/functors.h brings the functions for a device
#include "kernels/elementwise/pack-inl.h"
#endif

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {

template <class T>
struct Gru {
  T r, z, n;  // gates
  T h_n;      // the state's part of the candidate n

  static HEED_HOST_DEVICE Gru step(T r, T z, T x_n, T h_n) {
    r = sigmoid(r);
    return {r, sigmoid(z), tanh(r * h_n + x_n), h_n};
  }
  HEED_HOST_DEVICE T next(T h) const { return z * (h - n) + n; }

  struct Slopes {
    T r, z, n;  // of the gates' sums; for the state's part of n times r
    T h;        // what does not go through the gates
  };
  /// From dh of the state after; h is the one before.
  HEED_HOST_DEVICE Slopes slopes(T dh, T h) const {
    const T one = T(1), dn = dh * (one - z) * (one - n * n);
    return {dn * h_n * r * (one - r), dh * (h - n) * z * (one - z), dn, dh * z};
  }
};

template <class T>
struct Lstm {
  T i, f, g, o;   // gates
  T c, squashed;  // the cell after, and its tanh

  static HEED_HOST_DEVICE Lstm step(T i, T f, T g, T o, T c) {
    Lstm s = {sigmoid(i), sigmoid(f), tanh(g), sigmoid(o), T(0), T(0)};
    s.c = s.f * c + s.i * s.g;
    s.squashed = tanh(s.c);
    return s;
  }
  HEED_HOST_DEVICE T next() const { return o * squashed; }

  struct Slopes {
    T i, f, g, o;  // of the gates' sums
    T c;           // of the cell before
  };
  /// From dh and dc of what comes after; `before` is the cell before. `c` of *this is not read.
  HEED_HOST_DEVICE Slopes slopes(T dh, T dc, T before) const {
    const T one = T(1);
    dc = dc + dh * o * (one - squashed * squashed);
    return {dc * g * i * (one - i), dc * before * f * (one - f), dc * i * (one - g * g),
            dh * squashed * o * (one - o), dc * f};
  }
};

}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
