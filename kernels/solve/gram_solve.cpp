// A p for a block of rows is two products and a pass over what is between them, tile by tile of the
// keys in f32:
//   T = P K^T     T_ij = w_ij (T_ij - p_i.c_i)     A p = T K - (sum_j T_ij) c_i + ridge p_i
// 4 M D flops a row and step.
#include "kernels/solve/gram_solve.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "core/views.h"
#include "core/work.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/binary.h"
#include "kernels/matmul/matmul.h"
#include "kernels/solve/gram_on_device.h"
#include "kernels/solve/gram_tiles.h"

// One clone for each instruction set.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HEED_LEVELS __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define HEED_LEVELS
#endif

namespace heed::kernels {
namespace {

constexpr int64_t kRows = GramTiles::kRows;  // of a block

void check(const GramSystem& s, const Tensor& y) {
  HEED_CHECK(y.rank() == 4 && s.weights.rank() == 4 && s.keys.rank() == 4,
             "gram_solve: y {}, weights {}, keys {}", y, s.weights, s.keys);
  const int64_t b = y.size(0), h = y.size(1), n = y.size(2), d = y.size(3), m = s.keys.size(2);
  HEED_CHECK(s.weights.shape() == (Shape{b, h, n, m}) && s.keys.shape() == (Shape{b, h, m, d}) &&
                 (!s.centre.defined() || s.centre.shape() == y.shape()),
             "gram_solve: weights {} and keys {} for y {}", s.weights, s.keys, y);
  HEED_CHECK(s.ridge > 0.0 && std::isfinite(s.ridge),
             "gram_solve: a ridge of {} leaves systems of few keys without a solution", s.ridge);
}

// Sums of so many terms at once: the compiler keeps them in vectors.
constexpr int64_t kSums = 16;

template <class T>
inline __attribute__((always_inline)) T sum_of(const T* sums) {
  T total = 0;
  for (int64_t i = 0; i < kSums; ++i) total += sums[i];
  return total;
}

template <class T>
inline __attribute__((always_inline)) T dot_of(const T* a, const T* b, int64_t n) {
  T sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums)
    for (int64_t lane = 0; lane < kSums; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  for (; i < n; ++i) sums[i % kSums] += a[i] * b[i];
  return sum_of(sums);
}

// t_j = w_j (t_j - offset); returns their sum.
template <class T>
inline __attribute__((always_inline)) T weigh_of(const T* w, T offset, T* t, int64_t n) {
  T sums[kSums] = {};
  int64_t j = 0;
  for (; j + kSums <= n; j += kSums)
    for (int64_t lane = 0; lane < kSums; ++lane) {
      t[j + lane] = w[j + lane] * (t[j + lane] - offset);
      sums[lane] += t[j + lane];
    }
  for (; j < n; ++j) sums[j % kSums] += t[j] = w[j] * (t[j] - offset);
  return sum_of(sums);
}

HEED_LEVELS float dot(const float* a, const float* b, int64_t n) { return dot_of(a, b, n); }
HEED_LEVELS double dot(const double* a, const double* b, int64_t n) { return dot_of(a, b, n); }
HEED_LEVELS double weigh(const double* w, double offset, double* t, int64_t n) {
  return weigh_of(w, offset, t, n);
}

/// Rows [first, first + rows) of the systems of one (batch, head).
template <class T>
class Block {
 public:
  Block(const GramSystem& s, int64_t head, int64_t first, int64_t rows)
      : weights_(part(s.weights, head, first, rows)),
        keys_(views::select(flat(s.keys), 0, head)),
        keys_t_(views::transpose(keys_, 0, 1)),
        rows_(rows),
        dim_(keys_.size(1)),
        ridge_(static_cast<T>(s.ridge)) {
    if (s.centre.defined()) centre_ = part(s.centre, head, first, rows);
    if constexpr (std::is_same_v<T, float>)
      tiles_.emplace(keys_.data<float>(), keys_.size(0), dim_);
    else
      pairs_ = Tensor::empty({rows, keys_.size(0)}, keys_.dtype());
  }

  static Tensor flat(const Tensor& x) {
    return views::reshape(x, {x.size(0) * x.size(1), x.size(2), x.size(3)});
  }
  static Tensor part(const Tensor& x, int64_t head, int64_t first, int64_t rows) {
    return views::slice(views::select(flat(x), 0, head), 0, first, first + rows);
  }

  /// to_i = A_i p_i.
  void apply(const Tensor& p, const Tensor& to) const {
    if constexpr (std::is_same_v<T, float>) {
      const float* centre = centre_.defined() ? centre_.data<float>() : nullptr;
      apply_gram(*tiles_, {rows_, weights_.template data<float>(), centre, ridge_}, p.data<float>(),
                 to.data<float>());
      count_flops(4.0 * static_cast<double>(rows_ * keys_.size(0)) * static_cast<double>(dim_));
    } else {
      apply_products(p, to);
    }
  }

  static T* row(const Tensor& x, int64_t i) { return x.data<T>() + i * x.size(1); }

 private:
  /// The same as whole products, for f64.
  void apply_products(const Tensor& p, const Tensor& to) const {
    if (keys_.size(0) > 0) gemm(p, keys_t_, pairs_);
    std::vector<T> sums(static_cast<size_t>(rows_), T(0));
    const int64_t m = keys_.size(0);
    for (int64_t i = 0; i < rows_; ++i) {
      T* t = pairs_.template data<T>() + i * m;
      const T* w = weights_.template data<T>() + i * m;
      const T offset = centre_.defined() ? dot(row(p, i), row(centre_, i), dim_) : T(0);
      sums[static_cast<size_t>(i)] = weigh(w, offset, t, m);
    }
    gemm(pairs_, keys_, to);
    for (int64_t i = 0; i < rows_; ++i) {
      T* out = row(to, i);
      const T* pi = row(p, i);
      for (int64_t d = 0; d < dim_; ++d) out[d] += ridge_ * pi[d];
      if (!centre_.defined()) continue;
      const T sum = sums[static_cast<size_t>(i)];
      const T* ci = row(centre_, i);
      for (int64_t d = 0; d < dim_; ++d) out[d] -= sum * ci[d];
    }
  }

  Tensor weights_, keys_, keys_t_, centre_;
  int64_t rows_, dim_;
  T ridge_;
  std::optional<GramTiles> tiles_;  // f32
  Tensor pairs_;                    // f64
};

// x += step p, r -= step ap
template <class T>
inline __attribute__((always_inline)) void advance_of(T step, const T* p, const T* ap, T* x, T* r,
                                                      int64_t n) {
  for (int64_t d = 0; d < n; ++d) {
    x[d] += step * p[d];
    r[d] -= step * ap[d];
  }
}
HEED_LEVELS void advance(float step, const float* p, const float* ap, float* x, float* r,
                         int64_t n) {
  advance_of(step, p, ap, x, r, n);
}
HEED_LEVELS void advance(double step, const double* p, const double* ap, double* x, double* r,
                         int64_t n) {
  advance_of(step, p, ap, x, r, n);
}

/// Where a block stands, for messages.
struct Place {
  int64_t head, first;
  std::string row(int64_t i) const {
    return fmt::format("row {} of (batch, head) {}", first + i, head);
  }
};

/// Conjugate gradients of all rows of a block at once (Hestenes and Stiefel 1952). A row's right
/// side is scaled to about 1 by a power of two, so that no square of it leaves the dtype's range.
template <class T>
void solve_block(const Block<T>& block, const Place& place, const Tensor& y, const Tensor& x,
                 const ConjugateGradientOptions& options) {
  const int64_t rows = y.size(0), dim = y.size(1);
  const Tensor r = Tensor::empty(y.shape(), y.dtype()), p = Tensor::empty(y.shape(), y.dtype()),
               ap = Tensor::empty(y.shape(), y.dtype());
  std::fill_n(x.data<T>(), x.numel(), T(0));
  const auto count = static_cast<size_t>(rows);
  std::vector<T> norm(count), enough(count);
  std::vector<int> exponent(count);
  std::vector<char> active(count);
  // Beyond the dtype's precision the recurrence of r means nothing.
  const T least = std::max(static_cast<T>(options.tolerance), std::numeric_limits<T>::epsilon());
  int64_t left = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto n = static_cast<int64_t>(i);
    const T* side = Block<T>::row(y, n);
    T largest = 0;
    for (int64_t d = 0; d < dim; ++d) {
      HEED_CHECK(std::isfinite(side[d]), "gram_solve: the right side of {} is not finite",
                 place.row(n));
      largest = std::max(largest, std::abs(side[d]));
    }
    std::frexp(largest, &exponent[i]);
    T *ri = Block<T>::row(r, n), *pi = Block<T>::row(p, n);
    for (int64_t d = 0; d < dim; ++d) ri[d] = pi[d] = std::ldexp(side[d], -exponent[i]);
    norm[i] = dot(ri, ri, dim);
    enough[i] = least * least * norm[i];
    active[i] = norm[i] > 0;
    left += active[i];
  }
  for (int64_t step = 0; left > 0 && step < options.iterations; ++step) {
    block.apply(p, ap);
    for (size_t i = 0; i < count; ++i) {
      if (!active[i]) continue;
      const auto n = static_cast<int64_t>(i);
      T *pi = Block<T>::row(p, n), *ri = Block<T>::row(r, n);
      const T* api = Block<T>::row(ap, n);
      const T curvature = dot(pi, api, dim);
      HEED_CHECK(curvature > 0, "gram_solve: the system of {} is not positive definite: p.Ap {}",
                 place.row(n), curvature);
      advance(norm[i] / curvature, pi, api, Block<T>::row(x, n), ri, dim);
      const T next = dot(ri, ri, dim), by = next / norm[i];
      norm[i] = next;
      if (next <= enough[i]) {
        active[i] = false;
        --left;
        continue;
      }
      for (int64_t d = 0; d < dim; ++d) pi[d] = ri[d] + by * pi[d];
    }
  }
  for (size_t i = 0; i < count; ++i) {
    T* xi = Block<T>::row(x, static_cast<int64_t>(i));
    for (int64_t d = 0; d < dim; ++d) xi[d] = std::ldexp(xi[d], exponent[i]);
  }
}

DType solving(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

/// Rows [B, H, N, D] minus the first key of their (batch, head).
template <class T>
Tensor from_first_key(const Tensor& rows, const Tensor& keys) {
  const int64_t heads = rows.size(0) * rows.size(1), count = rows.size(2), d = rows.size(3);
  const int64_t head_keys = keys.size(2);
  const Tensor out = Tensor::empty(rows.shape(), rows.dtype());
  parallel_for(heads * count, 256, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* by = keys.data<T>() + row / count * head_keys * d;
      const T* from = rows.data<T>() + row * d;
      T* to = out.data<T>() + row * d;
      for (int64_t e = 0; e < d; ++e) to[e] = from[e] - by[e];
    }
  });
  return out;
}

/// Keys and centres measured from the first key: z = k - c stays what it is, and what the keys have
/// in common does not drown it. The first and no mean, which would carry roundings of later tokens
/// to earlier ones.
template <class T>
void measure_from_first(GramSystem& s) {
  s.centre = from_first_key<T>(s.centre, s.keys);
  s.keys = from_first_key<T>(s.keys, s.keys);
}

/// The system as the loops read it.
GramSystem prepared(const GramSystem& s, DType dtype) {
  const auto as = [dtype](const Tensor& t) { return t.defined() ? contiguous_as(t, dtype) : t; };
  GramSystem ready{as(s.weights), as(s.keys), as(s.centre), s.ridge};
  if (!ready.centre.defined() || ready.keys.numel() == 0) return ready;
  if (ready.keys.device().is_cuda()) {
    const Tensor first = views::slice(ready.keys, 2, 0, 1);
    ready.centre = binary(Binary::sub, ready.centre, first);
    ready.keys = binary(Binary::sub, ready.keys, first);
    return ready;
  }
  dtype == DType::f64 ? measure_from_first<double>(ready) : measure_from_first<float>(ready);
  return ready;
}

/// z products: x_i.k_j - x_i.c_i, in a new [B, H, N, M] tensor.
template <class T>
Tensor key_products(const GramSystem& s, const Tensor& x) {
  const Tensor t = matmul(x, views::transpose(s.keys, 2, 3));
  if (!s.centre.defined()) return t;
  const int64_t m = t.size(3), d = x.size(3);
  parallel_for(t.numel() / std::max<int64_t>(1, m), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T offset = dot(x.data<T>() + i * d, s.centre.data<T>() + i * d, d);
      T* to = t.data<T>() + i * m;
      for (int64_t j = 0; j < m; ++j) to[j] -= offset;
    }
  });
  return t;
}

template <class T>
GramGradients gradients(const GramSystem& s, const Tensor& x, const Tensor& u) {
  const Tensor of_x = key_products<T>(s, x), of_u = key_products<T>(s, u);
  const Tensor dw = Tensor::empty(s.weights.shape(), x.dtype());
  const Tensor dc = s.centre.defined() ? Tensor::empty(x.shape(), x.dtype()) : Tensor();
  const int64_t m = s.keys.size(2), d = x.size(3);
  parallel_for(x.numel() / std::max<int64_t>(1, d), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T *a = of_x.data<T>() + i * m, *b = of_u.data<T>() + i * m, *to = dw.data<T>() + i * m;
      const T* w = s.weights.data<T>() + i * m;
      T sum_a = 0, sum_b = 0;
      for (int64_t j = 0; j < m; ++j) {  // a and b become what multiplies -u and -x in dz
        to[j] = -a[j] * b[j];
        a[j] *= -w[j];
        b[j] *= -w[j];
        sum_a += a[j];
        sum_b += b[j];
      }
      if (!dc.defined()) continue;
      const T *xi = x.data<T>() + i * d, *ui = u.data<T>() + i * d;
      for (int64_t e = 0; e < d; ++e) dc.data<T>()[i * d + e] = -(sum_b * xi[e] + sum_a * ui[e]);
    }
  });
  const Tensor dk = matmul(views::transpose(of_u, 2, 3), x);
  gemm(views::transpose(of_x, 2, 3), u, dk, {.accumulate = true});
  return {dw, dk, dc, u};
}

/// Of a prepared system, in its dtype.
Tensor solved(const GramSystem& s, const Tensor& side, const ConjugateGradientOptions& options) {
  if (side.device().is_cuda()) return gram_solved_on_device(s, side, options);
  require_cpu(side.device(), "gram_solve");
  const Tensor x = Tensor::empty(side.shape(), side.dtype());
  const int64_t rows = side.size(2), blocks = (rows + kRows - 1) / kRows;
  parallel_for(side.size(0) * side.size(1) * blocks, 1, [&](int64_t task, int64_t) {
    const int64_t head = task / blocks, first = task % blocks * kRows;
    const int64_t count = std::min(kRows, rows - first);
    const auto solve = [&](auto type) {
      using T = decltype(type);
      solve_block(Block<T>(s, head, first, count), {head, first},
                  Block<T>::part(side, head, first, count), Block<T>::part(x, head, first, count),
                  options);
    };
    if (side.dtype() == DType::f64)
      solve(double());
    else
      solve(float());
  });
  return x;
}

}  // namespace

Tensor gram_solve(const GramSystem& system, const Tensor& y,
                  const ConjugateGradientOptions& options) {
  check(system, y);
  const DType dtype = solving(y.dtype());
  return contiguous_as(solved(prepared(system, dtype), contiguous_as(y, dtype), options),
                       y.dtype());
}

GramGradients gram_solve_backward(const Tensor& dx, const GramSystem& system, const Tensor& x,
                                  const ConjugateGradientOptions& options) {
  check(system, x);
  HEED_CHECK(dx.shape() == x.shape(), "gram_solve backward: dx {} for x {}", dx, x);
  const DType dtype = solving(x.dtype());
  const GramSystem s = prepared(system, dtype);
  const Tensor u = solved(s, contiguous_as(dx, dtype), options);
  const Tensor solution = contiguous_as(x, dtype);
  GramGradients g = x.device().is_cuda()  ? gram_gradients_on_device(s, solution, u)
                    : dtype == DType::f64 ? gradients<double>(s, solution, u)
                                          : gradients<float>(s, solution, u);
  for (Tensor* t : {&g.dweights, &g.dkeys, &g.dcentre, &g.dy})
    if (t->defined()) *t = contiguous_as(*t, x.dtype());
  return g;
}

}  // namespace heed::kernels
