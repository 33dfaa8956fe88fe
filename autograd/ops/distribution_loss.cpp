#include "autograd/ops/distribution_loss.h"

#include "autograd/trace.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/loss/distribution.h"

namespace heed {
namespace {

using kernels::RowLoss;

DType accumulation(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

Tensor as_rows(const Tensor& x, DType dtype) {
  return views::reshape(kernels::contiguous_as(x, dtype), {x.numel() / x.size(-1), x.size(-1)});
}

Tensor run(const char* op, RowLoss kind, double parameter, const Tensor& logits,
           const Tensor& targets, Reduction reduction) {
  HEED_CHECK(logits.rank() >= 1 && logits.size(-1) > 0 && is_floating(logits.dtype()),
             "{}: logits are {}, need floating [..., V]", op, logits);
  // Targets more precise than the logits widen the pass.
  DType dtype = logits.dtype();
  if (targets.defined()) {
    HEED_CHECK(targets.shape() == logits.shape() && is_floating(targets.dtype()),
               "{}: targets are {} for logits {}", op, targets, logits);
    HEED_CHECK(!needs_grad({targets}), "{}: the targets want a gradient: stop_gradient them", op);
    if (targets.dtype() != dtype)
      dtype = accumulation(targets.dtype() == DType::f64 ? DType::f64 : dtype);
  }
  const Tensor rows = as_rows(logits, dtype);
  // the host's targets are sent along
  const Tensor target_rows =
      targets.defined() ? as_rows(targets.to(logits.device()), dtype) : targets;
  const Tensor losses = kernels::row_losses(kind, parameter, rows, target_rows);
  const int64_t count = rows.size(0);
  HEED_CHECK(reduction != Reduction::mean || count > 0, "{}: the mean of no rows ({})", op, logits);
  Shape shape = logits.shape();
  shape.erase(shape.rank() - 1);
  Tensor out;
  double scale = 1;
  if (reduction == Reduction::none) {
    out = views::reshape(losses, shape);
  } else {
    if (reduction == Reduction::mean) scale = 1.0 / static_cast<double>(count);
    double sum = 0;
    for (const double loss : losses.to_vector<double>()) sum += loss;
    out = Tensor::full({}, scale * sum, losses.dtype());
  }
  if (trace::on()) trace::report(op, {logits, targets}, {out});
  return record(op, {logits}, out,
                [kind, parameter, rows = save(rows), target_rows = save(target_rows), scale,
                 reduction, shape = logits.shape(), own = logits.dtype()](const Tensor& dy) {
                  const Shape row_shape{rows->size(0)};
                  const DType sums = accumulation(rows->dtype());
                  const Tensor scales =
                      reduction == Reduction::none
                          ? views::reshape(kernels::contiguous_as(dy, sums), row_shape)
                          : Tensor::full(row_shape, scale * dy.item(), sums, rows->device());
                  const Tensor dx =
                      kernels::row_losses_backward(kind, parameter, *rows, *target_rows, scales);
                  return Gradients{kernels::cast(views::reshape(dx, shape), own)};
                });
}

}  // namespace

Tensor soft_cross_entropy(const Tensor& logits, const Tensor& targets, double smoothing,
                          Reduction reduction) {
  HEED_CHECK(smoothing >= 0 && smoothing < 1, "soft_cross_entropy: smoothing {} is outside [0, 1)",
             smoothing);
  return run("soft_cross_entropy", RowLoss::soft_targets, smoothing, logits, targets, reduction);
}

Tensor distillation_loss(const Tensor& logits, const Tensor& teacher, double temperature,
                         Reduction reduction) {
  HEED_CHECK(temperature > 0, "distillation_loss: temperature {} is not positive", temperature);
  return run("distillation_loss", RowLoss::distillation, temperature, logits, teacher, reduction);
}

Tensor z_loss(const Tensor& logits, Reduction reduction) {
  return run("z_loss", RowLoss::z, 0.0, logits, {}, reduction);
}

}  // namespace heed
