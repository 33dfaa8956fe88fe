// Transforms of several lines at once, one a SIMD lane: Stockham's self-sorting form of the
// Cooley-Tukey algorithm with mixed radices. A stage of radix r maps
//   y[q + s (r p + k)] = w_n^(p k) sum_j x[q + s (p + j n/r)] w_r^(j k)
// and then n becomes n / r and s becomes s r. 5 n log2 n floating-point operations a line for
// powers of two, and one read and write of the buffers a stage.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/fft/plan.h"

namespace heed::kernels {

template <class T>
class FftLines {
 public:
  /// Lines that are transformed together: 64 bytes of T.
  static constexpr int64_t kLanes = 64 / sizeof(T);

  /// Buffers of `plan`'s length, all 0; the plan must outlive them.
  explicit FftLines(const FftPlan& plan);

  /// Element k of every line, kLanes of them.
  T* re(int64_t k) { return parts_[0] + k * kLanes; }
  T* im(int64_t k) { return parts_[1] + k * kLanes; }

  /// In place, forward (e^(-2 pi i j k / n)), not scaled. The inverse is the same with the real and
  /// the imaginary parts exchanged before and after.
  void transform();
  void exchange() { std::swap(parts_[0], parts_[1]); }

 private:
  const FftPlan& plan_;
  std::vector<T> memory_;
  T* parts_[4];                  // re, im, and as much to work in
  std::vector<FftLines> inner_;  // Bluestein's convolution, or none
};

}  // namespace heed::kernels
