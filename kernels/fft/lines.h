// Transforms of several lines at once, one a SIMD lane: Stockham's self-sorting form of the
// Cooley-Tukey algorithm with mixed radices. A stage of radix r maps
//   y[q + s (r p + k)] = w_n^(p k) sum_j x[q + s (p + j n/r)] w_r^(j k)
// and then n becomes n / r and s becomes s r. 5 n log2 n floating-point operations a line for
// powers of two, and one read and write of the buffers a stage.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "kernels/fft/plan.h"

namespace heed::kernels {

template <class T>
class FftLines {
 public:
  /// Lines that are transformed together: 64 bytes of T.
  static constexpr int64_t kLanes = 64 / sizeof(T);

  /// Buffers of `plan`'s length and one element more, not filled; the plan must outlive them.
  explicit FftLines(const FftPlan& plan);

  /// Element k of every line, kLanes of them.
  T* re(int64_t k) { return re_ + 2 * k * kLanes; }
  T* im(int64_t k) { return im_ + 2 * k * kLanes; }
  /// All elements: of each its real parts, then its imaginary ones (unless exchanged).
  T* data() { return std::min(re_, im_); }
  /// Makes everything 0.
  void clear();

  /// In place, forward (e^(-2 pi i j k / n)), not scaled. The inverse is the same with the real and
  /// the imaginary parts exchanged before and after.
  void transform();
  void exchange() { std::swap(re_, im_); }

  /// The transform Z of z_j = x_2j + i x_(2j+1), m elements, to that of the real x, m + 1 elements,
  /// times `scale`; and what the inverse transform of z starts from. `whole` is the plan of x.
  void split_real(const FftPlan& whole, T scale);
  void join_real(const FftPlan& whole);
  void scale(T factor);

 private:
  T* spare() { return data() == memory_.get() ? memory_.get() + size_ : memory_.get(); }
  void use_spare();

  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  const FftPlan& plan_;
  int64_t size_;  // of one buffer
  std::unique_ptr<T, Free> memory_;
  T *re_, *im_;
  std::vector<FftLines> inner_;  // Bluestein's convolution, or none
};

}  // namespace heed::kernels
