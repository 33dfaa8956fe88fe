// a = l l^T row by row; then l y = b and l^T x = y. D^3 / 3 + 2 D^2 R multiply-adds.
#include "kernels/solve/cholesky.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/solve/device_cholesky.h"

namespace heed::kernels {

DeviceKernel<void(const DeviceCholesky&)> cholesky_cuda;

namespace {

constexpr double kWork = 20000;  // multiply-adds of a chunk

[[noreturn]] void fail_pivot(int64_t matrix, int64_t pivot, double value) {
  fail("cholesky: matrix {} is not positive definite: pivot {} is {}", matrix, pivot, value);
}

void factorise(int64_t d, std::vector<double>& a, int64_t which) {
  for (int64_t i = 0; i < d; ++i) {
    double* row = a.data() + i * d;
    for (int64_t j = 0; j <= i; ++j) {
      const double* other = a.data() + j * d;
      double sum = row[j];
      for (int64_t k = 0; k < j; ++k) sum -= row[k] * other[k];
      if (j < i) {
        row[j] = sum / other[j];
        continue;
      }
      if (!(sum > 0.0) || !std::isfinite(sum)) fail_pivot(which, i, sum);
      row[j] = std::sqrt(sum);
    }
  }
}

/// x = a^-1 x with l in a; x [d, columns].
void substitute(int64_t d, int64_t columns, const std::vector<double>& l, std::vector<double>& x) {
  const auto row = [&](int64_t i) { return x.data() + i * columns; };
  const auto eliminate = [&](int64_t i, int64_t j, double factor) {
    for (int64_t c = 0; c < columns; ++c) row(i)[c] -= factor * row(j)[c];
  };
  const auto divide = [&](int64_t i) {
    for (int64_t c = 0; c < columns; ++c) row(i)[c] /= l[static_cast<size_t>(i * d + i)];
  };
  for (int64_t i = 0; i < d; ++i) {
    for (int64_t j = 0; j < i; ++j) eliminate(i, j, l[static_cast<size_t>(i * d + j)]);
    divide(i);
  }
  for (int64_t i = d - 1; i >= 0; --i) {
    for (int64_t j = i + 1; j < d; ++j) eliminate(i, j, l[static_cast<size_t>(j * d + i)]);
    divide(i);
  }
}

/// In f64, row-major.
Tensor solve_on_device(const Tensor& a, const Tensor& b, int64_t count) {
  const auto numbers = [&](DType dtype) { return Tensor::empty({count}, dtype, a.device()); };
  const Tensor x = Tensor::empty(b.shape(), DType::f64, b.device());
  const Tensor l = Tensor::empty(a.shape(), DType::f64, a.device());
  copy(b, x);
  if (count == 0) return x;
  const Tensor failed = numbers(DType::i64), pivot = numbers(DType::f64);
  cholesky_cuda({"cholesky_solve", a, b},
                {count, a.size(-1), b.size(-1), a.data<double>(), l.data<double>(),
                 x.data<double>(), failed.data<int64_t>(), pivot.data<double>()});
  const std::vector<int64_t> pivots = failed.to_vector<int64_t>();
  for (size_t m = 0; m < pivots.size(); ++m) {
    if (pivots[m] >= 0)
      fail_pivot(static_cast<int64_t>(m), pivots[m], pivot.to_vector<double>()[m]);
  }
  return x;
}

}  // namespace

Tensor cholesky_solve(const Tensor& a, const Tensor& b) {
  HEED_CHECK(a.rank() >= 2 && a.rank() == b.rank() && a.size(-1) == a.size(-2) &&
                 b.size(-2) == a.size(-1) && a.dtype() == b.dtype() && is_floating(a.dtype()),
             "cholesky_solve: {} and {}", a, b);
  for (int i = 0; i < a.rank() - 2; ++i)
    HEED_CHECK(a.size(i) == b.size(i), "cholesky_solve: batches of {} and {}", a, b);
  const Tensor matrices = contiguous_as(a, DType::f64), sides = contiguous_as(b, DType::f64);
  const int64_t d = a.size(-1), columns = b.size(-1), size = d * d;
  const int64_t count = size == 0 ? 0 : a.numel() / size;
  if (a.device().is_cuda()) {
    return contiguous_as(solve_on_device(matrices, sides, count), b.dtype());
  }
  require_cpu(a.device(), "cholesky_solve");
  const Tensor out = Tensor::empty(b.shape(), DType::f64);
  const auto work = static_cast<double>(size * (d + 6 * columns) / 3 + 1);
  parallel_for(count, static_cast<int64_t>(kWork / work), [&](int64_t begin, int64_t end) {
    std::vector<double> l(static_cast<size_t>(size)), x(static_cast<size_t>(d * columns));
    for (int64_t m = begin; m < end; ++m) {
      const double* from = matrices.data<double>() + m * size;
      for (int64_t i = 0; i < d; ++i)
        for (int64_t j = 0; j <= i; ++j)
          l[static_cast<size_t>(i * d + j)] = 0.5 * (from[i * d + j] + from[j * d + i]);
      factorise(d, l, m);
      std::copy_n(sides.data<double>() + m * d * columns, d * columns, x.data());
      substitute(d, columns, l, x);
      std::copy(x.begin(), x.end(), out.data<double>() + m * d * columns);
    }
  });
  return contiguous_as(out, b.dtype());
}

}  // namespace heed::kernels
