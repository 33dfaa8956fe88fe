#include "kernels/matmul/product_f64.h"

#include <algorithm>
#include <vector>

namespace heed::kernels {
namespace {

constexpr int64_t kRows = 4;

// c[0..kRows)[j] += a[r][p] * b[p][j] over a packed block of b: rows of b are read once for four
// rows of c.
__attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4"))) void four_rows(
    const double* a, int64_t k, const double* b, int64_t n, double* c) {
  for (int64_t p = 0; p < k; ++p) {
    const double* row = b + p * n;
    const double a0 = a[p], a1 = a[k + p], a2 = a[2 * k + p], a3 = a[3 * k + p];
    for (int64_t j = 0; j < n; ++j) {
      c[j] += a0 * row[j];
      c[n + j] += a1 * row[j];
      c[2 * n + j] += a2 * row[j];
      c[3 * n + j] += a3 * row[j];
    }
  }
}

}  // namespace

void product_f64(ProductSize size, const double* a, MatrixLayout la, const double* b,
                 MatrixLayout lb, double* c, int64_t ldc, bool accumulate, const double* bias) {
  const auto [m, n, k] = size;
  std::vector<double> packed(static_cast<size_t>(k * n)), rows(static_cast<size_t>(kRows * k)),
      sums(static_cast<size_t>(kRows * n));
  for (int64_t p = 0; p < k; ++p) {
    for (int64_t j = 0; j < n; ++j) {
      packed[static_cast<size_t>(p * n + j)] = lb.transposed ? b[j * lb.ld + p] : b[p * lb.ld + j];
    }
  }
  for (int64_t i = 0; i < m; i += kRows) {
    const int64_t count = std::min(kRows, m - i);
    std::fill(rows.begin(), rows.end(), 0.0);
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t p = 0; p < k; ++p) {
        rows[static_cast<size_t>(r * k + p)] =
            la.transposed ? a[p * la.ld + i + r] : a[(i + r) * la.ld + p];
      }
    }
    four_rows(rows.data(), k, packed.data(), n, sums.data());
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t j = 0; j < n; ++j) {
        double& out = c[(i + r) * ldc + j];
        out = (accumulate ? out : 0.0) + sums[static_cast<size_t>(r * n + j)] +
              (bias ? bias[j] : 0.0);
      }
    }
  }
}

}  // namespace heed::kernels
