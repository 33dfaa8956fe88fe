// Windows along an axis as plain data, for the kernels of pooling and convolution.
#pragma once

#include <cstdint>

#include "core/element.h"

namespace heed::kernels {

/// Element k of window o is o stride - padding + k dilation, where that lies in [0, in).
struct WindowAxis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1, padding = 0, dilation = 1;

  HEED_HOST_DEVICE int64_t element(int64_t o, int64_t k) const {
    return o * stride - padding + k * dilation;
  }
  HEED_HOST_DEVICE bool has(int64_t i) const { return i >= 0 && i < in; }
  /// The windows that may hold element i are first_holder(i) ... last_holder(i).
  HEED_HOST_DEVICE int64_t first_holder(int64_t i) const {
    const int64_t reach = i + padding - dilation * (kernel - 1);
    return reach <= 0 ? 0 : (reach + stride - 1) / stride;
  }
  HEED_HOST_DEVICE int64_t last_holder(int64_t i) const {
    const int64_t last = (i + padding) / stride;
    return last < out ? last : out - 1;
  }
  /// Which element of window o, one of these, is i; -1: it steps over it.
  HEED_HOST_DEVICE int64_t tap(int64_t o, int64_t i) const {
    const int64_t distance = i + padding - o * stride;
    return distance % dilation == 0 ? distance / dilation : -1;
  }
};

/// The extents of an image and of its windows; axes that are not there have one of each.
struct WindowGrid {
  WindowAxis axis[3];

  HEED_HOST_DEVICE int64_t pixels() const { return axis[0].in * axis[1].in * axis[2].in; }
  HEED_HOST_DEVICE int64_t windows() const { return axis[0].out * axis[1].out * axis[2].out; }
  HEED_HOST_DEVICE int64_t taps() const { return axis[0].kernel * axis[1].kernel * axis[2].kernel; }

  /// Calls fn(pixel, tap) for the pixels of window number `window`, in row-major order.
  template <class Fn>
  HEED_HOST_DEVICE void for_pixels(int64_t window, Fn fn) const {
    const WindowAxis &a0 = axis[0], &a1 = axis[1], &a2 = axis[2];
    const int64_t o2 = window % a2.out, o1 = window / a2.out % a1.out,
                  o0 = window / a2.out / a1.out;
    for (int64_t k0 = 0; k0 < a0.kernel; ++k0) {
      const int64_t i0 = a0.element(o0, k0);
      if (!a0.has(i0)) continue;
      for (int64_t k1 = 0; k1 < a1.kernel; ++k1) {
        const int64_t i1 = a1.element(o1, k1);
        if (!a1.has(i1)) continue;
        for (int64_t k2 = 0; k2 < a2.kernel; ++k2) {
          const int64_t i2 = a2.element(o2, k2);
          if (a2.has(i2))
            fn((i0 * a1.in + i1) * a2.in + i2, (k0 * a1.kernel + k1) * a2.kernel + k2);
        }
      }
    }
  }

  /// Calls fn(window, tap) for the windows that hold pixel number `pixel`, in row-major order.
  template <class Fn>
  HEED_HOST_DEVICE void for_holders(int64_t pixel, Fn fn) const {
    const WindowAxis &a0 = axis[0], &a1 = axis[1], &a2 = axis[2];
    const int64_t i2 = pixel % a2.in, i1 = pixel / a2.in % a1.in, i0 = pixel / a2.in / a1.in;
    for (int64_t o0 = a0.first_holder(i0); o0 <= a0.last_holder(i0); ++o0) {
      const int64_t k0 = a0.tap(o0, i0);
      if (k0 < 0) continue;
      for (int64_t o1 = a1.first_holder(i1); o1 <= a1.last_holder(i1); ++o1) {
        const int64_t k1 = a1.tap(o1, i1);
        if (k1 < 0) continue;
        for (int64_t o2 = a2.first_holder(i2); o2 <= a2.last_holder(i2); ++o2) {
          const int64_t k2 = a2.tap(o2, i2);
          if (k2 >= 0) {
            fn((o0 * a1.out + o1) * a2.out + o2, (k0 * a1.kernel + k1) * a2.kernel + k2);
          }
        }
      }
    }
  }
};

}  // namespace heed::kernels
