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
    return *reinterpret_cast<V*>(re + k * FftLines<T>::kLanes);
  }
  HEED_INLINE V& imaginary(int64_t k) const {
    return *reinterpret_cast<V*>(im + k * FftLines<T>::kLanes);
  }
};

// What is the same for a whole stage: s, m = n / r, and the roots of the plan.
struct Stage {
  const FftPlan* plan;
  int64_t radix, m, s;
};

// y = (re + i im) * w^(p k s), w the plan's root.
template <class T>
HEED_INLINE void store(const Stage& g, const Lines<T>& y, int64_t p, int64_t k, int64_t q,
                       const typename Lines<T>::V& re, const typename Lines<T>::V& im) {
  const auto root = static_cast<size_t>(p * k * g.s);
  const T wr = static_cast<T>(g.plan->root_re[root]), wi = static_cast<T>(g.plan->root_im[root]);
  const int64_t to = q + g.s * (g.radix * p + k);
  y.real(to) = re * wr - im * wi;
  y.imaginary(to) = re * wi + im * wr;
}

template <class T>
HEED_INLINE void radix2(const Stage& g, const Lines<T>& x, const Lines<T>& y) {
  for (int64_t p = 0; p < g.m; ++p) {
    for (int64_t q = 0; q < g.s; ++q) {
      const int64_t a = q + g.s * p, b = q + g.s * (p + g.m);
      const auto ar = x.real(a), ai = x.imaginary(a), br = x.real(b), bi = x.imaginary(b);
      store(g, y, p, 0, q, ar + br, ai + bi);
      store(g, y, p, 1, q, ar - br, ai - bi);
    }
  }
}

template <class T>
HEED_INLINE void radix4(const Stage& g, const Lines<T>& x, const Lines<T>& y) {
  for (int64_t p = 0; p < g.m; ++p) {
    for (int64_t q = 0; q < g.s; ++q) {
      const auto at = [&](int64_t j) { return q + g.s * (p + g.m * j); };
      const auto sum_re = x.real(at(0)) + x.real(at(2));
      const auto sum_im = x.imaginary(at(0)) + x.imaginary(at(2));
      const auto gap_re = x.real(at(0)) - x.real(at(2));
      const auto gap_im = x.imaginary(at(0)) - x.imaginary(at(2));
      const auto odd_re = x.real(at(1)) + x.real(at(3));
      const auto odd_im = x.imaginary(at(1)) + x.imaginary(at(3));
      const auto turn_re = x.imaginary(at(1)) - x.imaginary(at(3));  // -i (x1 - x3)
      const auto turn_im = x.real(at(3)) - x.real(at(1));
      store(g, y, p, 0, q, sum_re + odd_re, sum_im + odd_im);
      store(g, y, p, 1, q, gap_re + turn_re, gap_im + turn_im);
      store(g, y, p, 2, q, sum_re - odd_re, sum_im - odd_im);
      store(g, y, p, 3, q, gap_re - turn_re, gap_im - turn_im);
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
  for (int64_t p = 0; p < g.m; ++p) {
    for (int64_t q = 0; q < g.s; ++q) {
      const auto at = [&](int64_t j) { return q + g.s * (p + g.m * j); };
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
      store(g, y, p, 0, q, total_re, total_im);
      for (int64_t k = 1; k <= half; ++k) {
        V cos_re = first_re, cos_im = first_im, sin_re = first_re - first_re, sin_im = sin_re;
        for (int64_t j = 1; j <= half; ++j) {
          const auto root = static_cast<size_t>(j * k % g.radix * step);
          const T c = static_cast<T>(g.plan->root_re[root]);
          const T s = static_cast<T>(g.plan->root_im[root]);
          cos_re += even_re[j] * c;
          cos_im += even_im[j] * c;
          sin_re -= odd_im[j] * s;
          sin_im += odd_re[j] * s;
        }
        store(g, y, p, k, q, cos_re + sin_re, cos_im + sin_im);
        store(g, y, p, g.radix - k, q, cos_re - sin_re, cos_im - sin_im);
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
    if (radix == 4) {
      radix4(stage, x, y);
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

HEED_LEVELS void run(const FftPlan& plan, Lines<float>& x, Lines<float>& y) {
  all_stages(plan, x, y);
}
HEED_LEVELS void run(const FftPlan& plan, Lines<double>& x, Lines<double>& y) {
  all_stages(plan, x, y);
}
HEED_LEVELS void product(int64_t n, const Lines<float>& x, const Lines<float>& y,
                         const std::vector<double>& wr, const std::vector<double>& wi) {
  multiply(n, x, y, wr, wi);
}
HEED_LEVELS void product(int64_t n, const Lines<double>& x, const Lines<double>& y,
                         const std::vector<double>& wr, const std::vector<double>& wi) {
  multiply(n, x, y, wr, wi);
}

}  // namespace

template <class T>
FftLines<T>::FftLines(const FftPlan& plan)
    : plan_(plan), memory_(static_cast<size_t>(4 * plan.n * kLanes), T(0)) {
  for (int64_t i = 0; i < 4; ++i) parts_[i] = memory_.data() + i * plan.n * kLanes;
  if (plan.inner) inner_.emplace_back(*plan.inner);
}

template <class T>
void FftLines<T>::transform() {
  Lines<T> x{parts_[0], parts_[1]}, y{parts_[2], parts_[3]};
  if (inner_.empty()) {
    run(plan_, x, y);
    parts_[0] = x.re;
    parts_[1] = x.im;
    parts_[2] = y.re;
    parts_[3] = y.im;
    return;
  }
  // The inverse transform's real and imaginary parts are exchanged; so is its result.
  FftLines& cyclic = inner_[0];
  const FftPlan& wide = *plan_.inner;
  product(plan_.n, x, {cyclic.re(0), cyclic.im(0)}, plan_.chirp_re, plan_.chirp_im);
  std::fill(cyclic.re(plan_.n), cyclic.re(0) + wide.n * kLanes, T(0));
  std::fill(cyclic.im(plan_.n), cyclic.im(0) + wide.n * kLanes, T(0));
  cyclic.transform();
  const Lines<T> spectrum{cyclic.re(0), cyclic.im(0)};
  product(wide.n, spectrum, spectrum, plan_.filter_re, plan_.filter_im);
  cyclic.exchange();
  cyclic.transform();
  cyclic.exchange();
  product(plan_.n, {cyclic.re(0), cyclic.im(0)}, x, plan_.chirp_re, plan_.chirp_im);
  const T scale = T(1) / static_cast<T>(wide.n);
  for (int64_t i = 0; i < plan_.n * kLanes; ++i) {
    x.re[i] *= scale;
    x.im[i] *= scale;
  }
}

template class FftLines<float>;
template class FftLines<double>;

}  // namespace heed::kernels
