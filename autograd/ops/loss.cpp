#include "autograd/ops/loss.h"

#include <memory>

#include "autograd/trace.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/binary.h"
#include "kernels/loss/cross_entropy.h"
#include "kernels/loss/linear_cross_entropy.h"
#include "kernels/optim/lists.h"
#include "kernels/softmax/softmax.h"

namespace heed {
namespace {

using kernels::Targets;

void check_options(const char* op, const CrossEntropyOptions& options) {
  HEED_CHECK(options.smoothing >= 0 && options.smoothing < 1, "{}: smoothing {} is outside [0, 1)",
             op, options.smoothing);
}

// [..., last] as [rows, last], row-major.
Tensor as_rows(const char* op, const Tensor& x, const Tensor& targets) {
  HEED_CHECK(x.rank() == targets.rank() + 1, "{}: targets {} do not fit {}", op, targets, x);
  for (int i = 0; i < targets.rank(); ++i) {
    HEED_CHECK(x.shape()[i] == targets.shape()[i], "{}: targets {} do not fit {}", op, targets, x);
  }
  return views::reshape(kernels::contiguous_as(x, x.dtype()), {targets.numel(), x.size(-1)});
}

Targets read_class_targets(const Tensor& targets, const Tensor& weight,
                           const CrossEntropyOptions& options, const char* op) {
  const int64_t classes = options.shared ? options.shared->classes : weight.size(0);
  return kernels::read_targets(targets, classes, options.ignore_index, op);
}

DType accumulation(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

Tensor scalar(double value, DType dtype) { return Tensor::full({}, value, dtype); }

// A gradient computed in the forward pass, for a seed of 1.
class ReadyGradient {
 public:
  explicit ReadyGradient(Tensor gradient) : gradient_(std::move(gradient)) {}

  // The gradient for another seed: scaled in place, unless an earlier walk over a kept tape handed
  // the memory out. The result is a handle of its own, so that storage counts show the sharing.
  Tensor scaled(double seed) {
    if (!gradient_.defined()) return {};
    if (seed == 0) return Tensor::zeros(gradient_.shape(), gradient_.dtype(), gradient_.device());
    if (seed != seed_) {
      if (gradient_.storage().use_count() > 1) {
        const Tensor own = Tensor::empty(gradient_.shape(), gradient_.dtype(), gradient_.device());
        kernels::copy(gradient_, own);
        gradient_ = own;
      }
      kernels::scale_inplace(std::span(&gradient_, 1), seed / seed_);
      seed_ = seed;
    }
    return gradient_.detach();
  }

 private:
  Tensor gradient_;
  double seed_ = 1;
};

}  // namespace

Tensor softmax(const Tensor& x, int dim) {
  const Tensor y = kernels::softmax(x, dim);
  if (trace::on()) trace::report("softmax", {x}, {y}, {{"dim", dim}});
  return record("softmax", {x}, y, [y = save(y), dim](const Tensor& dy) {
    return Gradients{kernels::softmax_backward(dy, *y, dim)};
  });
}

Tensor log_softmax(const Tensor& x, int dim) {
  const Tensor y = kernels::log_softmax(x, dim);
  if (trace::on()) trace::report("log_softmax", {x}, {y}, {{"dim", dim}});
  return record("log_softmax", {x}, y, [y = save(y), dim](const Tensor& dy) {
    return Gradients{kernels::log_softmax_backward(dy, *y, dim)};
  });
}

Tensor cross_entropy(const Tensor& logits, const Tensor& targets,
                     const CrossEntropyOptions& options) {
  const char* op = "cross_entropy";
  check_options(op, options);
  const Tensor rows = as_rows(op, logits, targets);
  auto read = std::make_shared<const Targets>(
      kernels::read_targets(targets, rows.size(1), options.ignore_index, op));
  const DType sums = accumulation(logits.dtype());
  const Tensor losses = Tensor::empty({rows.size(0)}, sums, rows.device());
  const Tensor lse = Tensor::empty({rows.size(0)}, sums, rows.device());
  kernels::cross_entropy(rows, *read, options.smoothing, losses, lse);
  const double counted = static_cast<double>(read->counted);
  const Reduction reduction = options.reduction;
  Tensor out;
  if (reduction == Reduction::none) {
    out = views::reshape(losses, targets.shape());
  } else {
    const double mean = kernels::mean_loss(losses, *read);
    out = scalar(reduction == Reduction::sum ? counted * mean : mean, sums);
  }
  if (trace::on()) trace::report(op, {logits, targets}, {out});
  return record(op, {logits}, out,
                [rows = save(rows), lse = save(lse), read, smoothing = options.smoothing, reduction,
                 counted, shape = logits.shape()](const Tensor& dy) {
                  double scale = 1;
                  if (reduction == Reduction::sum) scale = dy.item();
                  if (reduction == Reduction::mean) scale = counted > 0 ? dy.item() / counted : 0.0;
                  Tensor gradient =
                      kernels::cross_entropy_backward(*rows, *read, smoothing, *lse, scale);
                  if (reduction == Reduction::none) {
                    const Tensor each =
                        views::reshape(kernels::contiguous_as(dy, lse->dtype()), {dy.numel(), 1});
                    gradient = kernels::cast(kernels::binary(kernels::Binary::mul, gradient, each),
                                             rows->dtype());
                  }
                  return Gradients{views::reshape(gradient, shape)};
                });
}

Tensor linear_cross_entropy(const Tensor& x, const Tensor& weight, const Tensor& bias,
                            const Tensor& targets, const CrossEntropyOptions& options) {
  const char* op = "linear_cross_entropy";
  check_options(op, options);
  const Tensor rows = as_rows(op, x, targets);
  HEED_CHECK(options.reduction != Reduction::none,
             "{}: losses of single targets have no gradient: see linear_cross_entropy_rows", op);
  const Targets read = read_class_targets(targets, weight, options, op);
  kernels::LinearCrossEntropyResult r = kernels::linear_cross_entropy(
      rows, weight, bias, read, options.smoothing,
      {.dx = needs_grad({x}), .dweight = needs_grad({weight}), .dbias = needs_grad({bias})},
      options.shared.get());
  double value = kernels::mean_loss(r.losses, read);
  double seed_scale = 1;
  if (options.reduction == Reduction::sum) {
    seed_scale = static_cast<double>(read.counted);
    value *= seed_scale;
  }
  const Tensor loss = scalar(value, accumulation(x.dtype()));
  if (r.dx.defined()) r.dx = views::reshape(r.dx, x.shape());
  auto ready = std::make_shared<std::vector<ReadyGradient>>();
  for (Tensor* gradient : {&r.dx, &r.dweight, &r.dbias}) ready->emplace_back(std::move(*gradient));
  if (trace::on()) trace::report(op, {x, weight, bias, targets}, {loss});
  return record(op, {x, weight, bias}, loss,
                [ready, seed_scale, shared = options.shared](const Tensor& dy) {
                  // Every rank's loss depends on all ranks' logits.
                  const double seed = seed_scale * (shared ? shared->sum(dy.item()) : dy.item());
                  Gradients gradients;
                  for (ReadyGradient& gradient : *ready) gradients.push_back(gradient.scaled(seed));
                  return gradients;
                });
}

Tensor linear_cross_entropy_rows(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                 const Tensor& targets, const CrossEntropyOptions& options) {
  const char* op = "linear_cross_entropy_rows";
  check_options(op, options);
  const Tensor rows = as_rows(op, x, targets);
  const Targets read = read_class_targets(targets, weight, options, op);
  const Tensor losses = kernels::linear_cross_entropy(rows, weight, bias, read, options.smoothing,
                                                      {}, options.shared.get())
                            .losses;
  const Tensor out = views::reshape(losses, targets.shape());
  if (trace::on()) trace::report(op, {x, weight, bias, targets}, {out});
  return out;
}

}  // namespace heed
