#include "core/op_call.h"
#include "kernels/attention/call.h"
#include "kernels/elementwise/unary.h"
#include "kernels/linear_attention/device_linear.h"
#include "kernels/linear_attention/problem.h"

namespace heed::kernels {

DeviceKernel<void(const DeviceLinearForward&)> linear_forward_cuda;
DeviceKernel<void(const DeviceLinearBackward&)> linear_backward_cuda;

namespace linear {
namespace {

LinearRows rows_of(const Tensor& x) { return {x.raw(), x.stride(0), x.stride(1), x.stride(2)}; }

LinearStates states_of(const States& s) { return {s.storage.raw(), s.rows(), s.width()}; }

/// A call as the kernels see it, with what they need besides.
struct Call {
  Tensor decay, scaled, totals;
  DeviceLinear linear;

  Call(const Problem& p, const Operands& x, const States& states)
      : linear{.dtype = x.q.dtype(),
               .gate = p.gate,
               .batch = p.batch,
               .heads = p.heads,
               .tokens = p.tokens,
               .key_dim = p.key_dim,
               .value_dim = p.value_dim,
               .q = rows_of(x.q),
               .k = rows_of(x.k),
               .v = rows_of(x.v),
               .log_decay = nullptr,
               .decay = nullptr,
               .states = states_of(states),
               .scaled = nullptr,
               .totals = nullptr} {
    if (p.gate == Gate::none) return;
    const DType wide = states.storage.dtype();
    const Device device = x.q.device();
    scaled = Tensor::empty({p.sequences(), p.tokens, p.key_dim}, wide, device);
    totals = Tensor::empty({p.sequences(), p.chunks(), p.key_dim}, wide, device);
    linear.scaled = scaled.raw();
    linear.totals = totals.raw();
    linear.log_decay = x.log_decay.raw();
    if (p.gate != Gate::channel) return;
    decay = unary(Unary::exp, x.log_decay);
    linear.decay = decay.raw();
  }
};

}  // namespace

void device_forward(const Problem& p, const Operands& x, const States& states, const Tensor& out) {
  const Call call(p, x, states);
  linear_forward_cuda({"linear_attention", x.q, x.k, x.v, x.log_decay},
                      {call.linear, rows_of(out)});
}

void device_backward(const Problem& p, const Operands& x, const Tensor& dout, const States& states,
                     const States& dstates, const Gradients& grads) {
  const Call call(p, x, states);
  Tensor wide_dq, wide_dk;
  DeviceLinearBackward g{.linear = call.linear,
                         .dout = rows_of(dout),
                         .dstates = states_of(dstates),
                         .dq = rows_of(grads.dq),
                         .dk = rows_of(grads.dk),
                         .dv = rows_of(grads.dv),
                         .wide_dq = nullptr,
                         .wide_dk = nullptr,
                         .dlog_decay = nullptr};
  if (p.gate != Gate::none) {
    wide_dq = Tensor::empty(call.scaled.shape(), call.scaled.dtype(), x.q.device());
    wide_dk = Tensor::empty(call.scaled.shape(), call.scaled.dtype(), x.q.device());
    g.wide_dq = wide_dq.raw();
    g.wide_dk = wide_dk.raw();
    g.dlog_decay = grads.dlog_decay.raw();
  }
  linear_backward_cuda({"linear_attention backward", x.q, x.k, x.v, x.log_decay, dout}, g);
}

}  // namespace linear
}  // namespace heed::kernels
