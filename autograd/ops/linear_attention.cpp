#include "autograd/ops/linear_attention.h"

#include <limits>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/view.h"
#include "autograd/trace.h"
#include "kernels/copy/copy.h"
#include "kernels/linear_attention/linear_attention.h"

namespace heed {
namespace {

/// v with a column of ones, whose weighted sum is the sum of the weights.
Tensor with_ones(const Tensor& v) {
  return concat(
      {v, expand(Tensor::full({1, 1, 1, 1}, 1.0, v.dtype()), {v.size(0), v.size(1), v.size(2), 1})},
      3);
}

Tensor normalised(const Tensor& sums, double least) {
  const int64_t width = sums.size(3) - 1;
  const Tensor weight =
      clamp(slice(sums, 3, width, width + 1), least, std::numeric_limits<double>::infinity());
  return div(slice(sums, 3, 0, width), weight);
}

}  // namespace

LinearAttentionResult causal_linear_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                              const LinearAttentionOptions& options) {
  if (options.normalise) {
    HEED_CHECK(v.rank() == 4, "linear_attention: v {} is not [B, H, N, Dv]", v);
    LinearAttentionOptions plain = options;
    plain.normalise = false;
    const LinearAttentionResult sums = causal_linear_attention(q, k, with_ones(v), plain);
    return {normalised(sums.out, options.least), sums.state};
  }
  const Tensor &decay = options.log_decay, &state = options.state;
  const kernels::LinearAttentionOutput y = kernels::linear_attention({q, k, v, decay, state});
  const auto kept = [](const Tensor& t) { return t.defined() ? save(t) : Saved(); };
  if (trace::on()) trace::report("linear_attention", {q, k, v, decay, state}, {y.out, y.state});
  auto outputs = record_many(
      "linear_attention", {q, k, v, decay, state}, {y.out, y.state},
      [q = save(q), k = save(k), v = save(v), decay = kept(decay), state = kept(state),
       states = save(y.states)](const Gradients& dys, const Wanted&) {
        const auto back = [](const Saved& t) { return t.defined() ? *t : Tensor(); };
        const auto g = kernels::linear_attention_backward(
            dys[0], dys[1], {*q, *k, *v, back(decay), back(state)}, *states);
        const auto as = [](const Tensor& dx, const Saved& x) {
          return x.defined() ? kernels::cast(dx, x->dtype()) : Tensor();
        };
        return Gradients{g.dq, g.dk, g.dv, as(g.dlog_decay, decay), as(g.dstate, state)};
      });
  return {outputs[0], outputs[1]};
}

Tensor bidirectional_linear_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                      bool normalise, double least) {
  HEED_CHECK(q.rank() == 4 && k.rank() == 4 && v.rank() == 4,
             "linear_attention: wants [B, H, N, D], got {}, {}, {}", q, k, v);
  const Tensor values = normalise ? with_ones(v) : v;
  const Tensor sums = matmul(q, matmul(transpose(k, 2, 3), values));
  return normalise ? normalised(sums, least) : sums;
}

}  // namespace heed
