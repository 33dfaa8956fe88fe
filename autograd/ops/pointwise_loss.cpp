#include "autograd/ops/pointwise_loss.h"

#include "autograd/trace.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/loss/pointwise.h"

namespace heed {
namespace {

using kernels::Pointwise;
using kernels::PointwiseLoss;

DType accumulation(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

DType wider(const char* op, DType a, DType b) {
  HEED_CHECK(is_floating(a) && is_floating(b), "{}: operands of {} and {}", op, name_of(a),
             name_of(b));
  if (a == b) return a;
  return a == DType::f64 || b == DType::f64 ? DType::f64 : DType::f32;
}

// Factors of x's shape in the accumulation dtype, row-major; the host's are sent along.
Tensor spread(const char* op, const Tensor& factors, const Tensor& x, const Tensor& target) {
  if (!factors.defined()) return factors;
  HEED_CHECK(!needs_grad({factors}), "{}: weights have no gradient: stop_gradient them", op);
  const bool fits = broadcast_shapes(factors.shape(), x.shape(), op) == x.shape();
  HEED_CHECK(fits, "{}: weights {} do not broadcast to {}", op, factors, x);
  return kernels::contiguous_as(views::expand(factors.to(x.device()), x.shape()),
                                accumulation(wider(op, x.dtype(), target.dtype())));
}

struct SavedLoss {
  PointwiseLoss loss;  // without tensors
  Saved x, target, weight, positive;

  explicit SavedLoss(const PointwiseLoss& l)
      : loss{l.kind, l.parameter, l.factor, {}, {}, {}, {}},
        x(l.x),
        target(l.target),
        weight(l.weight),
        positive(l.positive) {}

  PointwiseLoss whole() const {
    PointwiseLoss l = loss;
    l.x = *x;
    l.target = *target;
    l.weight = *weight;
    l.positive = *positive;
    return l;
  }
};

Tensor run(const char* op, PointwiseLoss loss, const Tensor& x, const Tensor& target,
           Reduction reduction) {
  HEED_CHECK(x.shape() == target.shape(), "{}: x is {}, the target {}", op, x, target);
  const DType dtype = wider(op, x.dtype(), target.dtype());
  loss.x = kernels::contiguous_as(x, dtype);
  loss.target = kernels::contiguous_as(target, dtype);
  const double scale = reduction == Reduction::mean ? 1.0 / static_cast<double>(x.numel()) : 1.0;
  Tensor out;
  if (reduction == Reduction::none) {
    out = kernels::pointwise_loss(loss);
  } else {
    HEED_CHECK(reduction == Reduction::sum || x.numel() > 0, "{}: the mean of nothing ({})", op, x);
    out = Tensor::full({}, scale * kernels::pointwise_loss_sum(loss), accumulation(dtype));
  }
  if (trace::on()) trace::report(op, {x, target}, {out});
  return record(op, {x, target}, out,
                [saved = SavedLoss(loss), scale, reduction, x_dtype = x.dtype(),
                 target_dtype = target.dtype()](const Tensor& dy, const Wanted& wanted) {
                  const PointwiseLoss whole = saved.whole();
                  const bool each = reduction == Reduction::none;
                  const auto g = kernels::pointwise_loss_backward(
                      whole,
                      each ? kernels::contiguous_as(dy, accumulation(whole.x.dtype())) : Tensor(),
                      each ? 1.0 : scale * dy.item(), wanted[0], wanted[1]);
                  Gradients gradients(2);
                  if (wanted[0]) gradients[0] = kernels::cast(g.dx, x_dtype);
                  if (wanted[1]) gradients[1] = kernels::cast(g.dtarget, target_dtype);
                  return gradients;
                });
}

}  // namespace

Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  return run("mse_loss", {.kind = Pointwise::squared}, x, target, reduction);
}

Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  return run("l1_loss", {.kind = Pointwise::absolute}, x, target, reduction);
}

Tensor huber_loss(const Tensor& x, const Tensor& target, double delta, Reduction reduction) {
  HEED_CHECK(delta > 0, "huber_loss: delta {} is not positive", delta);
  return run("huber_loss", {.kind = Pointwise::huber, .parameter = delta}, x, target, reduction);
}

Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, double beta, Reduction reduction) {
  HEED_CHECK(beta >= 0, "smooth_l1_loss: beta {} is negative", beta);
  if (beta == 0) return run("smooth_l1_loss", {.kind = Pointwise::absolute}, x, target, reduction);
  return run("smooth_l1_loss", {.kind = Pointwise::huber, .parameter = beta, .factor = 1 / beta}, x,
             target, reduction);
}

Tensor bce_with_logits(const Tensor& x, const Tensor& target, const BceOptions& options) {
  const char* op = "bce_with_logits";
  PointwiseLoss loss{.kind = Pointwise::bce_with_logits};
  loss.weight = spread(op, options.weight, x, target);
  loss.positive = spread(op, options.pos_weight, x, target);
  return run(op, loss, x, target, options.reduction);
}

Tensor binary_cross_entropy(const Tensor& x, const Tensor& target, const BceOptions& options) {
  const char* op = "binary_cross_entropy";
  HEED_CHECK(!options.pos_weight.defined(), "{}: pos_weight is for logits", op);
  for (const double p : x.to_vector<double>()) {
    HEED_CHECK(p >= 0 && p <= 1, "{}: {} is not a probability", op, p);
  }
  PointwiseLoss loss{.kind = Pointwise::bce};
  loss.weight = spread(op, options.weight, x, target);
  return run(op, loss, x, target, options.reduction);
}

Tensor kl_div(const Tensor& x, const Tensor& target, bool log_target, Reduction reduction) {
  return run("kl_div", {.kind = log_target ? Pointwise::kl_div_log : Pointwise::kl_div}, x, target,
             reduction);
}

}  // namespace heed
