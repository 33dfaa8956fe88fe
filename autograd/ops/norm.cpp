#include "autograd/ops/norm.h"

#include "autograd/trace.h"
#include "kernels/copy/copy.h"
#include "kernels/norm/norm.h"

namespace heed {
namespace {

using kernels::Norm;
using kernels::NormGradients;
using kernels::NormResult;

const char* name_of(Norm kind, bool fused) {
  if (kind == Norm::layer) return fused ? "add_layer_norm" : "layer_norm";
  return fused ? "add_rms_norm" : "rms_norm";
}

// The kernel's row sums in the parameter's dtype.
Tensor in_dtype(const Tensor& gradient, DType dtype) {
  return gradient.defined() ? kernels::contiguous_as(gradient, dtype) : gradient;
}

DType dtype_or_f32(const Tensor& t) { return t.defined() ? t.dtype() : DType::f32; }

// Keeps x (or the sum) and the statistics; x-hat is formed again in the backward pass.
Tensor normalise(Norm kind, const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  const NormResult r = kernels::norm(kind, {}, x, weight, bias, eps);
  if (trace::on()) trace::report(name_of(kind, false), {x, weight, bias}, {r.out}, {{"eps", eps}});
  const DType bias_dtype = dtype_or_f32(bias);
  return record(name_of(kind, false), {x, weight, bias}, r.out,
                [kind, bias_dtype, x = save(x), weight = save(weight), mean = save(r.mean),
                 rstd = save(r.rstd)](const Tensor& dy, const Wanted& wanted) {
                  NormGradients g = kernels::norm_backward(
                      kind, dy, {}, *x, *weight, *mean, *rstd,
                      {.dx = wanted[0], .dweight = wanted[1], .dbias = wanted[2]});
                  return Gradients{g.dx, in_dtype(g.dweight, dtype_or_f32(*weight)),
                                   in_dtype(g.dbias, bias_dtype)};
                });
}

std::pair<Tensor, Tensor> add_and_normalise(Norm kind, const Tensor& residual, const Tensor& x,
                                            const Tensor& weight, const Tensor& bias, double eps) {
  HEED_CHECK(residual.defined(), "{}: the residual is undefined", name_of(kind, true));
  const NormResult r = kernels::norm(kind, residual, x, weight, bias, eps);
  if (trace::on()) {
    trace::report(name_of(kind, true), {residual, x, weight, bias}, {r.sum, r.out}, {{"eps", eps}});
  }
  const DType bias_dtype = dtype_or_f32(bias);
  const auto outputs =
      record_many(name_of(kind, true), {residual, x, weight, bias}, {r.sum, r.out},
                  [kind, bias_dtype, sum = save(r.sum), weight = save(weight), mean = save(r.mean),
                   rstd = save(r.rstd)](const Gradients& grads, const Wanted& wanted) {
                    const Tensor &dsum = grads[0], &dy = grads[1];
                    NormGradients g;
                    if (dy.defined()) {
                      g = kernels::norm_backward(
                          kind, dy, dsum, *sum, *weight, *mean, *rstd,
                          {.dx = wanted[0] || wanted[1], .dweight = wanted[2], .dbias = wanted[3]});
                    } else {
                      g.dx = dsum;
                    }
                    // One tensor is the gradient of both addends; the second handle makes the
                    // sharing visible to whoever would add into one of them in place.
                    const Tensor second = g.dx.defined() ? g.dx.detach() : g.dx;
                    return Gradients{g.dx, second, in_dtype(g.dweight, dtype_or_f32(*weight)),
                                     in_dtype(g.dbias, bias_dtype)};
                  });
  return {outputs[0], outputs[1]};
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  return normalise(Norm::layer, x, weight, bias, eps);
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  return normalise(Norm::rms, x, weight, {}, eps);
}

std::pair<Tensor, Tensor> add_layer_norm(const Tensor& residual, const Tensor& x,
                                         const Tensor& weight, const Tensor& bias, double eps) {
  return add_and_normalise(Norm::layer, residual, x, weight, bias, eps);
}

std::pair<Tensor, Tensor> add_rms_norm(const Tensor& residual, const Tensor& x,
                                       const Tensor& weight, double eps) {
  return add_and_normalise(Norm::rms, residual, x, weight, {}, eps);
}

}  // namespace heed
