#include "autograd/ops/channel_norm.h"

#include <algorithm>

#include "autograd/trace.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/norm/channel_norm.h"
#include "kernels/norm/l2_normalize.h"

namespace heed {
namespace {

using kernels::ChannelMoments;
using kernels::NormGradients;

// [B, spatial..., C] as [B, S, C]; one sample for statistics over the batch.
Tensor as_samples(const Tensor& x, bool whole_batch, const char* op) {
  HEED_CHECK(x.rank() >= 2 && x.numel() > 0, "{}: x is {}, needs [B, ..., C], none of them 0", op,
             x);
  const int64_t channels = x.size(-1), samples = whole_batch ? 1 : x.size(0);
  return views::reshape(kernels::contiguous_as(x, x.dtype()),
                        {samples, x.numel() / channels / samples, channels});
}

Tensor in_dtype(const Tensor& gradient, const Tensor& parameter) {
  return gradient.defined() ? kernels::contiguous_as(gradient, parameter.dtype()) : gradient;
}

// y for given statistics; they take part in the gradient unless they are constants.
Tensor normalise(const char* op, const Tensor& x, const Tensor& rows, const Tensor& mean,
                 const Tensor& rstd, const Tensor& weight, const Tensor& bias, int64_t groups,
                 bool constant, const kernels::SpreadBatch& spread = {}) {
  const Tensor y =
      views::reshape(kernels::channel_norm(rows, mean, rstd, weight, bias, op), x.shape());
  return record(op, {x, weight, bias}, y,
                [rows = save(rows), mean = save(mean), rstd = save(rstd), weight = save(weight),
                 bias = save(bias), groups, constant, spread,
                 shape = x.shape()](const Tensor& dy, const Wanted& wanted) {
                  const Tensor dense =
                      views::reshape(kernels::contiguous_as(dy, rows->dtype()), rows->shape());
                  const NormGradients g = kernels::channel_norm_backward(
                      dense, *rows, *mean, *rstd, weight.defined() ? *weight : Tensor(), groups,
                      constant, {.dx = wanted[0], .dweight = wanted[1], .dbias = wanted[2]},
                      spread);
                  return Gradients{g.dx.defined() ? views::reshape(g.dx, shape) : g.dx,
                                   wanted[1] ? in_dtype(g.dweight, *weight) : Tensor(),
                                   wanted[2] ? in_dtype(g.dbias, *bias) : Tensor()};
                });
}

Tensor per_sample(const char* op, const Tensor& x, int64_t groups, const Tensor& weight,
                  const Tensor& bias, double eps) {
  const Tensor rows = as_samples(x, false, op);
  const ChannelMoments m = kernels::channel_moments(rows, groups, op);
  const Tensor y =
      normalise(op, x, rows, m.mean, kernels::inverse_std(m.var, eps), weight, bias, groups, false);
  if (trace::on()) trace::report(op, {x, weight, bias}, {y}, {{"groups", groups}, {"eps", eps}});
  return y;
}

// The moments of all ranks' rows, from those of this rank's `n`; n becomes the rows of all.
ChannelMoments merged(const ChannelMoments& own, int64_t& n, const SumOverRanks& sum) {
  const std::vector<double> mean = own.mean.to_vector<double>(), var = own.var.to_vector<double>();
  const size_t channels = mean.size();
  const auto count = static_cast<double>(n);
  std::vector<double> totals(2 * channels + 1, count);  // of x, of x^2, of 1
  for (size_t c = 0; c < channels; ++c) {
    totals[c] = count * mean[c];
    totals[channels + c] = count * (var[c] + mean[c] * mean[c]);
  }
  sum(totals);
  const double all = totals.back();
  std::vector<double> means(channels), vars(channels);
  for (size_t c = 0; c < channels; ++c) {
    means[c] = totals[c] / all;
    vars[c] = std::max(0.0, totals[channels + c] / all - means[c] * means[c]);
  }
  n = static_cast<int64_t>(all);
  return {kernels::cast(Tensor::from(means, own.mean.shape()), own.mean.dtype()),
          kernels::cast(Tensor::from(vars, own.var.shape()), own.var.dtype())};
}

}  // namespace

BatchNormResult batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps,
                           const SumOverRanks& sum) {
  const char* op = "batch_norm";
  const Tensor rows = as_samples(x, true, op);
  int64_t n = rows.size(1);
  const int64_t channels = rows.size(2);
  ChannelMoments m = kernels::channel_moments(rows, channels, op);
  if (sum) m = merged(m, n, sum);
  HEED_CHECK(n > 1, "{}: x is {}: one value a channel has no variance", op, x);
  BatchNormResult result;
  result.out = normalise(op, x, rows, m.mean, kernels::inverse_std(m.var, eps), weight, bias,
                         channels, false, {.positions = n, .sum = sum});
  result.mean = views::reshape(m.mean, {channels});
  const double unbiased = static_cast<double>(n) / static_cast<double>(n - 1);
  std::vector<double> var = m.var.to_vector<double>();
  for (double& v : var) v *= unbiased;
  result.var = kernels::cast(Tensor::from(var, {channels}), m.var.dtype());
  if (trace::on()) trace::report(op, {x, weight, bias}, {result.out, result.mean, result.var});
  return result;
}

Tensor batch_norm_with(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                       const Tensor& weight, const Tensor& bias, double eps) {
  const char* op = "batch_norm_with";
  const Tensor rows = as_samples(x, true, op);
  const int64_t channels = rows.size(2);
  for (const Tensor& t : {running_mean, running_var}) {
    HEED_CHECK(t.defined() && t.shape() == Shape{channels} && is_floating(t.dtype()),
               "{}: a running statistic is {}, needs floating [{}]", op,
               t.defined() ? t.to_string() : "undefined", channels);
  }
  const DType statistics = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  // Copies: the buffers move on before the backward pass.
  const Tensor mean = Tensor::empty({1, channels}, statistics);
  const Tensor var = Tensor::empty({1, channels}, statistics);
  kernels::copy(running_mean, mean);
  kernels::copy(running_var, var);
  const Tensor y =
      normalise(op, x, rows, mean, kernels::inverse_std(var, eps), weight, bias, channels, true);
  if (trace::on())
    trace::report(op, {x, running_mean, running_var, weight, bias}, {y}, {{"eps", eps}});
  return y;
}

void update_running(const Tensor& running, const Tensor& batch, double momentum) {
  HEED_CHECK(running.shape() == batch.shape(), "update_running: {} from {}", running, batch);
  HEED_CHECK(momentum >= 0 && momentum <= 1, "update_running: momentum {} is outside [0, 1]",
             momentum);
  std::vector<double> values = running.to_vector<double>();
  const std::vector<double> more = batch.to_vector<double>();
  for (size_t i = 0; i < values.size(); ++i) values[i] += momentum * (more[i] - values[i]);
  kernels::copy(Tensor::from(values, running.shape()), running);
}

Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias,
                  double eps) {
  return per_sample("group_norm", x, groups, weight, bias, eps);
}

Tensor instance_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  HEED_CHECK(x.rank() >= 2, "instance_norm: x is {}, needs [B, ..., C]", x);
  return per_sample("instance_norm", x, x.size(-1), weight, bias, eps);
}

Tensor l2_normalize(const Tensor& x, int dim, double eps) {
  const kernels::L2Normalized r = kernels::l2_normalize(x, dim, eps);
  if (trace::on()) trace::report("l2_normalize", {x}, {r.out}, {{"dim", dim}, {"eps", eps}});
  return record("l2_normalize", {x}, r.out,
                [x = save(x), inverse = save(r.inverse), dim, eps](const Tensor& dy) {
                  return Gradients{kernels::l2_normalize_backward(dy, *x, *inverse, dim, eps)};
                });
}

}  // namespace heed
