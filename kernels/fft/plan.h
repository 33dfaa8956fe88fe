// What a discrete Fourier transform of one length needs: its factors and roots of unity.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace heed::kernels {

/// Largest factor that is transformed by its definition; lengths with a larger prime factor become
/// a convolution (Bluestein 1970).
constexpr int64_t kLargestRadix = 31;

/// Roots are correctly rounded but for an ulp.
struct FftPlan {
  explicit FftPlan(int64_t n);

  int64_t n;
  std::vector<int64_t> factors;          // their product is n; empty when `chirp` is used
  std::vector<double> root_re, root_im;  // e^(-2 pi i k / n), k < n
  std::vector<float> root_re_f32, root_im_f32;

  template <class T>
  const T* re_roots() const {
    if constexpr (sizeof(T) == 4)
      return root_re_f32.data();
    else
      return root_re.data();
  }
  template <class T>
  const T* im_roots() const {
    if constexpr (sizeof(T) == 4)
      return root_im_f32.data();
    else
      return root_im.data();
  }

  // Bluestein: y_k = c_k sum_j (x_j c_j) conj(c_(k-j)), c_k = e^(-pi i k^2 / n), a cyclic
  // convolution of the length of `inner`, a power of two.
  std::unique_ptr<FftPlan> inner;
  std::vector<double> chirp_re, chirp_im;    // c_k, k < n
  std::vector<double> filter_re, filter_im;  // the transform of conj(c), over inner's length
};

/// The plan of that length; plans are kept.
std::shared_ptr<const FftPlan> fft_plan(int64_t n);

}  // namespace heed::kernels
