#include "kernels/fft/lines.h"

#include <cstdint>

// One clone for each instruction set; everything they call is inlined into them.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HEED_LEVELS __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define HEED_LEVELS
#endif
#define HEED_INLINE inline __attribute__((always_inline))

namespace heed::kernels {
namespace {

// A vector of all lanes; the buffers have no more than T's alignment.
template <class T>
struct LanesOf;
template <>
struct LanesOf<float> {
  typedef float type __attribute__((vector_size(64), aligned(4), may_alias));
};
template <>
struct LanesOf<double> {
  typedef double type __attribute__((vector_size(64), aligned(8), may_alias));
};

template <class T>
struct Lines {
  using V = typename LanesOf<T>::type;
  T *re, *im;

  HEED_INLINE V& real(int64_t k) const {
    return *reinterpret_cast<V*>(re + 2 * k * FftLines<T>::kLanes);
  }
  HEED_INLINE V& imaginary(int64_t k) const {
    return *reinterpret_cast<V*>(im + 2 * k * FftLines<T>::kLanes);
  }
};

// What is the same for a whole stage: s, m = n / r, and the roots of the plan.
struct Stage {
  const FftPlan* plan;
  int64_t radix, m, s;
};

// w^(p k s) of a stage, w the plan's root.
template <class T>
struct Root {
  T re, im;
  HEED_INLINE Root(const Stage& g, int64_t p, int64_t k)
      : re(g.plan->re_roots<T>()[p * k * g.s]), im(g.plan->im_roots<T>()[p * k * g.s]) {}
};

// y at `to` = (re + i im) * root.
template <class T>
HEED_INLINE void store(const Lines<T>& y, int64_t to, Root<T> root, const typename Lines<T>::V& re,
                       const typename Lines<T>::V& im) {
  y.real(to) = re * root.re - im * root.im;
  y.imaginary(to) = re * root.im + im * root.re;
}
template <class T>
HEED_INLINE void store(const Lines<T>& y, int64_t to, const typename Lines<T>::V& re,
                       const typename Lines<T>::V& im) {
  y.real(to) = re;
  y.imaginary(to) = im;
}

template <class T>
HEED_INLINE void radix2(const Stage& g, const Lines<T>& x, const Lines<T>& y) {
  for (int64_t p = 0; p < g.m; ++p) {
    const Root<T> w(g, p, 1);
    for (int64_t q = 0; q < g.s; ++q) {
      const int64_t a = q + g.s * p, b = q + g.s * (p + g.m), to = q + g.s * 2 * p;
      const auto ar = x.real(a), ai = x.imaginary(a), br = x.real(b), bi = x.imaginary(b);
      store<T>(y, to, ar + br, ai + bi);
      store<T>(y, to + g.s, w, ar - br, ai - bi);
    }
  }
}

// The terms of a step of radix 4 or 8, before their roots: the transform of x at `first`,
// first + step, ...
template <class T, int kRadix>
struct Terms;

template <class T>
struct Terms<T, 4> {
  using V = typename Lines<T>::V;
  V re[4], im[4];
  HEED_INLINE Terms(const Lines<T>& x, int64_t first, int64_t step) {
    const V r0 = x.real(first), r1 = x.real(first + step), r2 = x.real(first + 2 * step),
            r3 = x.real(first + 3 * step);
    const V i0 = x.imaginary(first), i1 = x.imaginary(first + step),
            i2 = x.imaginary(first + 2 * step), i3 = x.imaginary(first + 3 * step);
    const V sum_re = r0 + r2, sum_im = i0 + i2, gap_re = r0 - r2, gap_im = i0 - i2;
    const V odd_re = r1 + r3, odd_im = i1 + i3;
    const V turn_re = i1 - i3, turn_im = r3 - r1;  // -i (x1 - x3)
    re[0] = sum_re + odd_re, im[0] = sum_im + odd_im;
    re[1] = gap_re + turn_re, im[1] = gap_im + turn_im;
    re[2] = sum_re - odd_re, im[2] = sum_im - odd_im;
    re[3] = gap_re - turn_re, im[3] = gap_im - turn_im;
  }
};

template <class T>
struct Terms<T, 8> {
  using V = typename Lines<T>::V;
  V re[8], im[8];
  HEED_INLINE Terms(const Lines<T>& x, int64_t first, int64_t step) {
    constexpr T kHalfRoot = static_cast<T>(0.70710678118654752440);
    const Terms<T, 4> even(x, first, 2 * step), odd(x, first + step, 2 * step);
    // the odd terms times e^(-i pi k / 4)
    join(even, 0, odd.re[0], odd.im[0]);
    join(even, 1, (odd.re[1] + odd.im[1]) * kHalfRoot, (odd.im[1] - odd.re[1]) * kHalfRoot);
    join(even, 2, odd.im[2], -odd.re[2]);
    join(even, 3, (odd.im[3] - odd.re[3]) * kHalfRoot, (odd.re[3] + odd.im[3]) * -kHalfRoot);
  }

 private:
  HEED_INLINE void join(const Terms<T, 4>& even, int k, const V& odd_re, const V& odd_im) {
    re[k] = even.re[k] + odd_re, im[k] = even.im[k] + odd_im;
    re[k + 4] = even.re[k] - odd_re, im[k + 4] = even.im[k] - odd_im;
  }
};

template <int kRadix, class T>
HEED_INLINE void power_radix(const Stage& g, const Lines<T>& x, const Lines<T>& y) {
  const int64_t step = g.s * g.m;
  for (int64_t q = 0; q < g.s; ++q) {  // p = 0: all roots are 1
    const Terms<T, kRadix> t(x, q, step);
    for (int64_t k = 0; k < kRadix; ++k) store<T>(y, q + g.s * k, t.re[k], t.im[k]);
  }
  for (int64_t p = 1; p < g.m; ++p) {
    for (int64_t q = 0; q < g.s; ++q) {
      const Terms<T, kRadix> t(x, q + g.s * p, step);
      const int64_t to = q + g.s * kRadix * p;
      store<T>(y, to, t.re[0], t.im[0]);
      for (int64_t k = 1; k < kRadix; ++k) {
        store<T>(y, to + g.s * k, Root<T>(g, p, k), t.re[k], t.im[k]);
      }
    }
  }
}

// By the definition, r^2 products. Terms j and r - j share their factors' cosine and sine.
template <class T>
HEED_INLINE void odd_radix(const Stage& g, const Lines<T>& x, const Lines<T>& y) {
  using V = typename Lines<T>::V;
  const int64_t half = g.radix / 2, step = g.plan->n / g.radix;
  V even_re[kLargestRadix / 2 + 1], even_im[kLargestRadix / 2 + 1];
  V odd_re[kLargestRadix / 2 + 1], odd_im[kLargestRadix / 2 + 1];
  T cosine[kLargestRadix], sine[kLargestRadix];
  for (int64_t j = 0; j < g.radix; ++j) {
    cosine[j] = g.plan->re_roots<T>()[j * step];
    sine[j] = g.plan->im_roots<T>()[j * step];
  }
  for (int64_t p = 0; p < g.m; ++p) {
    for (int64_t q = 0; q < g.s; ++q) {
      const auto at = [&](int64_t j) { return q + g.s * (p + g.m * j); };
      const auto to = [&](int64_t k) { return q + g.s * (g.radix * p + k); };
      const V first_re = x.real(at(0)), first_im = x.imaginary(at(0));
      V total_re = first_re, total_im = first_im;
      for (int64_t j = 1; j <= half; ++j) {
        const int64_t a = at(j), b = at(g.radix - j);
        even_re[j] = x.real(a) + x.real(b);
        even_im[j] = x.imaginary(a) + x.imaginary(b);
        odd_re[j] = x.real(a) - x.real(b);
        odd_im[j] = x.imaginary(a) - x.imaginary(b);
        total_re += even_re[j];
        total_im += even_im[j];
      }
      store<T>(y, to(0), total_re, total_im);
      for (int64_t k = 1; k <= half; ++k) {
        V cos_re = first_re, cos_im = first_im, sin_re = first_re - first_re, sin_im = sin_re;
        int64_t turn = 0;
        for (int64_t j = 1; j <= half; ++j) {
          turn += k;
          if (turn >= g.radix) turn -= g.radix;
          const T c = cosine[turn], s = sine[turn];
          cos_re += even_re[j] * c;
          cos_im += even_im[j] * c;
          sin_re -= odd_im[j] * s;
          sin_im += odd_re[j] * s;
        }
        store<T>(y, to(k), Root<T>(g, p, k), cos_re + sin_re, cos_im + sin_im);
        store<T>(y, to(g.radix - k), Root<T>(g, p, g.radix - k), cos_re - sin_re, cos_im - sin_im);
      }
    }
  }
}

// Leaves the result in x, exchanging it with y as stages go.
template <class T>
HEED_INLINE void all_stages(const FftPlan& plan, Lines<T>& x, Lines<T>& y) {
  int64_t s = 1, left = plan.n;
  for (const int64_t radix : plan.factors) {
    left /= radix;
    const Stage stage{&plan, radix, left, s};
    if (radix == 8) {
      power_radix<8>(stage, x, y);
    } else if (radix == 4) {
      power_radix<4>(stage, x, y);
    } else if (radix == 2) {
      radix2(stage, x, y);
    } else {
      odd_radix(stage, x, y);
    }
    std::swap(x, y);
    s *= radix;
  }
}

// re + i im times (wr + i wi), element by element, from x to y.
template <class T>
HEED_INLINE void multiply(int64_t n, const Lines<T>& x, const Lines<T>& y,
                          const std::vector<double>& wr, const std::vector<double>& wi) {
  for (int64_t k = 0; k < n; ++k) {
    const auto re = x.real(k), im = x.imaginary(k);
    const T c = static_cast<T>(wr[static_cast<size_t>(k)]);
    const T s = static_cast<T>(wi[static_cast<size_t>(k)]);
    y.real(k) = re * c - im * s;
    y.imaginary(k) = re * s + im * c;
  }
}

// X_k = (Z_k + Z*_(m-k)) / 2 - i w^k (Z_k - Z*_(m-k)) / 2, k <= m.
template <class T>
HEED_INLINE void split(int64_t m, const FftPlan& whole, T scale, const Lines<T>& z,
                       const Lines<T>& x) {
  const T *wr = whole.re_roots<T>(), *wi = whole.im_roots<T>();
  scale *= T(0.5);
  for (int64_t k = 1; k < m; ++k) {
    const auto ar = z.real(k), ai = z.imaginary(k);
    const auto br = z.real(m - k), bi = -z.imaginary(m - k);
    const auto gr = ar - br, gi = ai - bi;
    x.real(k) = scale * (ar + br + (wr[k] * gi + wi[k] * gr));
    x.imaginary(k) = scale * (ai + bi - (wr[k] * gr - wi[k] * gi));
  }
  const auto re = z.real(0), im = z.imaginary(0);
  scale *= T(2);
  x.real(0) = scale * (re + im);
  x.real(m) = scale * (re - im);
  x.imaginary(0) = x.imaginary(m) = re - re;
}

// Z_k = X_k + X*_(m-k) + i w^(-k) (X_k - X*_(m-k)), k < m; what should be real is taken as such.
template <class T>
HEED_INLINE void join(int64_t m, const FftPlan& whole, const Lines<T>& x, const Lines<T>& z) {
  const T *wr = whole.re_roots<T>(), *wi = whole.im_roots<T>();
  for (int64_t k = 1; k < m; ++k) {
    const auto ar = x.real(k), ai = x.imaginary(k);
    const auto br = x.real(m - k), bi = -x.imaginary(m - k);
    const auto gr = ar - br, gi = ai - bi;
    z.real(k) = ar + br - (wr[k] * gi - wi[k] * gr);
    z.imaginary(k) = ai + bi + (wr[k] * gr + wi[k] * gi);
  }
  const auto first = x.real(0), last = x.real(m);
  z.real(0) = first + last;
  z.imaginary(0) = first - last;
}

#define HEED_FOR_BOTH(T)                                                                          \
  HEED_LEVELS void run(const FftPlan& plan, Lines<T>& x, Lines<T>& y) { all_stages(plan, x, y); } \
  HEED_LEVELS void product(int64_t n, const Lines<T>& x, const Lines<T>& y,                       \
                           const std::vector<double>& wr, const std::vector<double>& wi) {        \
    multiply(n, x, y, wr, wi);                                                                    \
  }                                                                                               \
  HEED_LEVELS void split_lines(int64_t m, const FftPlan& whole, T scale, const Lines<T>& z,       \
                               const Lines<T>& x) {                                               \
    split(m, whole, scale, z, x);                                                                 \
  }                                                                                               \
  HEED_LEVELS void join_lines(int64_t m, const FftPlan& whole, const Lines<T>& x,                 \
                              const Lines<T>& z) {                                                \
    join(m, whole, x, z);                                                                         \
  }
HEED_FOR_BOTH(float)
HEED_FOR_BOTH(double)
#undef HEED_FOR_BOTH

}  // namespace

template <class T>
FftLines<T>::FftLines(const FftPlan& plan)
    : plan_(plan),
      size_(2 * (plan.n + 1) * kLanes),
      memory_(static_cast<T*>(std::aligned_alloc(64, 2 * static_cast<size_t>(size_) * sizeof(T)))),
      re_(memory_.get()),
      im_(re_ + kLanes) {
  if (plan.inner) inner_.emplace_back(*plan.inner);
}

template <class T>
void FftLines<T>::clear() {
  std::fill_n(memory_.get(), 2 * size_, T(0));
}

// The other buffer, with its parts in the same order.
template <class T>
void FftLines<T>::use_spare() {
  T* other = spare();
  const bool exchanged = re_ > im_;
  re_ = other + (exchanged ? kLanes : 0);
  im_ = other + (exchanged ? 0 : kLanes);
}

template <class T>
void FftLines<T>::scale(T factor) {
  T* x = data();
  for (int64_t i = 0; i < 2 * plan_.n * kLanes; ++i) x[i] *= factor;
}

template <class T>
void FftLines<T>::split_real(const FftPlan& whole, T factor) {
  const Lines<T> z{re_, im_};
  use_spare();
  split_lines(plan_.n, whole, factor, z, Lines<T>{re_, im_});
}

template <class T>
void FftLines<T>::join_real(const FftPlan& whole) {
  const Lines<T> x{re_, im_};
  use_spare();
  join_lines(plan_.n, whole, x, Lines<T>{re_, im_});
}

template <class T>
void FftLines<T>::transform() {
  Lines<T> x{re_, im_};
  if (inner_.empty()) {
    use_spare();
    Lines<T> y{re_, im_};
    run(plan_, x, y);
    re_ = x.re;
    im_ = x.im;
    return;
  }
  // The inverse transform's real and imaginary parts are exchanged; so is its result.
  FftLines& cyclic = inner_[0];
  const FftPlan& wide = *plan_.inner;
  product(plan_.n, x, {cyclic.re(0), cyclic.im(0)}, plan_.chirp_re, plan_.chirp_im);
  std::fill_n(cyclic.data() + 2 * plan_.n * kLanes, 2 * (wide.n - plan_.n) * kLanes, T(0));
  cyclic.transform();
  const Lines<T> spectrum{cyclic.re(0), cyclic.im(0)};
  product(wide.n, spectrum, spectrum, plan_.filter_re, plan_.filter_im);
  cyclic.exchange();
  cyclic.transform();
  cyclic.exchange();
  product(plan_.n, {cyclic.re(0), cyclic.im(0)}, x, plan_.chirp_re, plan_.chirp_im);
  scale(T(1) / static_cast<T>(wide.n));
}

template class FftLines<float>;
template class FftLines<double>;

}  // namespace heed::kernels
