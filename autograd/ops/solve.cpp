#include "autograd/ops/solve.h"

#include <cmath>
#include <limits>

#include "autograd/checkpoint.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "autograd/trace.h"
#include "core/views.h"
#include "kernels/matmul/matmul.h"
#include "kernels/solve/cholesky.h"

namespace heed {
namespace {

constexpr int64_t kQueries = 128;  // of a block

/// [rows, keys] beside q: 0 where key j is at most first + i, else -infinity.
Tensor causal_mask(int64_t first, int64_t rows, int64_t keys, const Tensor& q) {
  std::vector<float> mask;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < keys; ++j)
      mask.push_back(j <= first + i ? 0.0f : -std::numeric_limits<float>::infinity());
  return cast(Tensor::from(mask, {rows, keys}).to(q.device()), q.dtype());
}

Tensor local_linear_block(const Tensor& q, const Tensor& k, const Tensor& v, int64_t first,
                          const LocalLinearOptions& o) {
  const double scale = o.scale != 0.0 ? o.scale : 1.0 / std::sqrt(static_cast<double>(q.size(3)));
  const Tensor keys = transpose(k, 2, 3);
  Tensor scores = mul(matmul(q, keys), scale);
  if (o.causal) scores = add(scores, causal_mask(first, q.size(2), k.size(2), q));
  const Tensor p = softmax(scores, 3);
  const Tensor mean_key = matmul(p, k);
  const Tensor direction = gram_solve(p, k, sub(q, mean_key), mean_key, o.ridge, o.solver);
  const Tensor change =
      sub(matmul(direction, keys), sum(mul(direction, mean_key), {3}, /*keepdim=*/true));
  return matmul(mul(p, add(change, 1.0)), v);
}

}  // namespace

Tensor cholesky_solve(const Tensor& a, const Tensor& b) {
  const Tensor x = kernels::cholesky_solve(a, b);
  if (trace::on()) trace::report("cholesky_solve", {a, b}, {x});
  return record("cholesky_solve", {a, b}, x, [a = save(a), x = save(x)](const Tensor& dx) {
    const Tensor u = kernels::cholesky_solve(*a, dx);
    const Tensor outer = kernels::matmul(u, views::transpose(*x, -1, -2));
    const NoGrad none;
    const Tensor da = mul(add(outer, views::transpose(outer, -1, -2)), -0.5);
    return Gradients{da, u};
  });
}

Tensor gram_solve(const Tensor& weights, const Tensor& keys, const Tensor& y, const Tensor& centre,
                  double ridge, const ConjugateGradientOptions& options) {
  const Tensor x = kernels::gram_solve({weights, keys, centre, ridge}, y, options);
  if (trace::on())
    trace::report(
        "gram_solve", {weights, keys, y, centre}, {x},
        {{"ridge", ridge}, {"iterations", options.iterations}, {"tolerance", options.tolerance}});
  return record("gram_solve", {weights, keys, y, centre}, x,
                [w = save(weights), k = save(keys), c = centre.defined() ? save(centre) : Saved(),
                 x = save(x), ridge, options](const Tensor& dx) {
                  const auto g = kernels::gram_solve_backward(
                      dx, {*w, *k, c.defined() ? *c : Tensor(), ridge}, *x, options);
                  return Gradients{g.dweights, g.dkeys, g.dy, g.dcentre};
                });
}

Tensor local_linear_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                              const LocalLinearOptions& options) {
  HEED_CHECK(q.rank() == 4 && k.rank() == 4 && v.rank() == 4 && k.size(2) == v.size(2) &&
                 (!options.causal || q.size(2) <= k.size(2)),
             "local_linear_attention: q {}, k {}, v {}", q, k, v);
  if (q.dtype() == DType::bf16) {
    const auto wide = [](const Tensor& x) { return cast(x, DType::f32); };
    return cast(local_linear_attention(wide(q), wide(k), wide(v), options), DType::bf16);
  }
  const int64_t queries = q.size(2), offset = k.size(2) - queries;
  std::vector<Tensor> blocks;
  for (int64_t first = 0; first < queries; first += kQueries) {
    const int64_t end = std::min(first + kQueries, queries);
    const int64_t keys = options.causal ? offset + end : k.size(2);
    blocks.push_back(checkpoint_many(
        [seen = offset + first, options](const std::vector<Tensor>& x) {
          return std::vector<Tensor>{local_linear_block(x[0], x[1], x[2], seen, options)};
        },
        {slice(q, 2, first, end), slice(k, 2, 0, keys), slice(v, 2, 0, keys)})[0]);
  }
  return concat(blocks, 2);
}

}  // namespace heed
