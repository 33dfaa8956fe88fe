#include "kernels/linear_attention/linear_attention.h"

#include "core/views.h"
#include "core/work.h"
#include "kernels/attention/call.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/accumulate.h"
#include "kernels/linear_attention/problem.h"

namespace heed::kernels {
namespace {

using attn::statistics_dtype;
using attn::token_major;
using attn::with_contiguous_rows;
using namespace linear;  // NOLINT(google-build-using-namespace): this is its entry point

Problem checked(const LinearAttentionInputs& in) {
  const auto& [q, k, v, decay, state] = in;
  HEED_CHECK(q.rank() == 4 && k.shape() == q.shape() && v.rank() == 4 && v.size(0) == q.size(0) &&
                 v.size(1) == q.size(1) && v.size(2) == q.size(2),
             "linear_attention: wants q and k [B, H, N, D] and v [B, H, N, Dv], got {}, {}, {}", q,
             k, v);
  HEED_CHECK(q.dtype() == k.dtype() && q.dtype() == v.dtype() && is_floating(q.dtype()),
             "linear_attention: q, k, v of dtypes {}, {}, {}", q, k, v);
  Problem p{q.size(0), q.size(1), q.size(2), q.size(3), v.size(3), Gate::none, state.defined()};
  HEED_CHECK(p.key_dim > 0 && p.value_dim > 0, "linear_attention: empty heads, q {}, v {}", q, v);
  if (decay.defined()) {
    const bool channel = decay.rank() == 4;
    HEED_CHECK(is_floating(decay.dtype()) &&
                   decay.shape() == (channel ? q.shape() : Shape{p.batch, p.heads, p.tokens}),
               "linear_attention: log_decay {} is neither [B, H, N] nor [B, H, N, D] of q {}",
               decay, q);
    p.gate = channel ? Gate::channel : Gate::token;
  }
  HEED_CHECK(!state.defined() || (is_floating(state.dtype()) &&
                                  state.shape() == Shape{p.batch, p.heads, p.key_dim, p.value_dim}),
             "linear_attention: state {} for q {} and v {}", state, q, v);
  return p;
}

/// The [B, H, D, Dv] view of one border.
Tensor border(const Problem& p, const States& states, int64_t index) {
  const Tensor all = views::select(states.storage, 1, index);
  const Tensor cut = views::slice(views::slice(all, 1, 0, p.key_dim), 2, 0, p.value_dim);
  return views::as_strided(cut, {p.batch, p.heads, p.key_dim, p.value_dim},
                           {cut.stride(0) * p.heads, cut.stride(0), cut.stride(1), cut.stride(2)});
}

/// Zeros, and within them `state` where it is defined.
void fill_border(const Problem& p, const States& states, int64_t index, const Tensor& state) {
  const Tensor padded = views::select(states.storage, 1, index);
  fill(padded, 0);
  if (state.defined()) copy(contiguous_as(state, states.storage.dtype()), border(p, states, index));
}

/// Multiply-adds of a pass: `states` products of a token's key and value rows with a state,
/// `pairs` products over the pairs within a chunk.
void count(const Problem& p, double states, double pairs) {
  const auto dims = static_cast<double>(p.key_dim), values = static_cast<double>(p.value_dim);
  const double pair_cost = p.gate == Gate::channel ? 0.0 : pairs * (dims + values) / 2 * kChunk / 2;
  count_flops(2.0 * static_cast<double>(p.sequences() * p.tokens) *
              (states * dims * values + pair_cost));
}

struct Prepared {
  Tensor q, k, v, log_decay;
  explicit Prepared(const LinearAttentionInputs& in)
      : q(with_contiguous_rows(in.q)),
        k(with_contiguous_rows(in.k)),
        v(with_contiguous_rows(in.v)),
        log_decay(in.log_decay.defined()
                      ? contiguous_as(in.log_decay, statistics_dtype(in.q.dtype()))
                      : Tensor()) {}
  Operands operands() const { return {q, k, v, log_decay}; }
};

}  // namespace

LinearAttentionOutput linear_attention(const LinearAttentionInputs& inputs) {
  const Problem p = checked(inputs);
  const Prepared x(inputs);
  const DType dtype = inputs.q.dtype();
  const States states = States::empty(p, statistics_dtype(dtype), inputs.q.device());
  fill_border(p, states, 0, inputs.state);
  const Tensor out = token_major(p.batch, p.heads, p.tokens, p.value_dim, dtype, inputs.q.device());
  if (inputs.q.device().is_cuda()) {
    device_forward(p, x.operands(), states, out);
  } else if (dtype == DType::f64) {
    recurrent_forward(p, x.operands(), states, out);
  } else {
    chunked_forward(p, x.operands(), states, out);
  }
  count(p, 2, 2);
  return {out, contiguous_as(border(p, states, p.chunks()), statistics_dtype(dtype)),
          states.storage};
}

LinearAttentionGradients linear_attention_backward(const Tensor& dout, const Tensor& dstate,
                                                   const LinearAttentionInputs& inputs,
                                                   const Tensor& states) {
  const Problem p = checked(inputs);
  const Prepared x(inputs);
  const DType dtype = inputs.q.dtype(), wide = statistics_dtype(dtype);
  const Device device = inputs.q.device();
  HEED_CHECK(!dout.defined() || (dout.shape() == Shape{p.batch, p.heads, p.tokens, p.value_dim} &&
                                 dout.dtype() == dtype),
             "linear_attention backward: dout {} for q {}, v {}", dout, inputs.q, inputs.v);
  const States dstates = States::empty(p, wide, device);
  fill_border(p, dstates, p.chunks(), dstate);
  const auto rows_of = [&](int64_t width) {
    return token_major(p.batch, p.heads, p.tokens, width, dtype, device);
  };
  LinearAttentionGradients g{rows_of(p.key_dim), rows_of(p.key_dim), rows_of(p.value_dim), {}, {}};
  if (p.gate != Gate::none) g.dlog_decay = Tensor::empty(inputs.log_decay.shape(), wide, device);
  const Shape shape{p.batch, p.heads, p.tokens, p.value_dim};
  const Tensor rows =
      with_contiguous_rows(dout.defined() ? dout : Tensor::zeros(shape, dtype, device));
  if (device.is_cuda()) {
    device_backward(p, x.operands(), rows, {states}, dstates, {g.dq, g.dk, g.dv, g.dlog_decay});
  } else if (dtype == DType::f64) {
    recurrent_backward(p, x.operands(), rows, {states}, dstates, {g.dq, g.dk, g.dv, g.dlog_decay});
  } else {
    chunked_backward(p, x.operands(), rows, {states}, dstates, {g.dq, g.dk, g.dv, g.dlog_decay});
  }
  count(p, 4, 5);
  g.dstate = contiguous_as(border(p, dstates, 0), wide);
  return g;
}

}  // namespace heed::kernels
