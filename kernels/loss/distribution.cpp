// A row stays in the cache over its passes; the backward pass forms the sums again rather than
// keep them: 2 reads forward, 2 reads and a write backward (1 less for z), and one exponential an
// element and distribution more.
#include "kernels/loss/distribution.h"

#include <algorithm>
#include <cmath>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/loss/distribution_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/loss/distribution.cpp"
#include "kernels/simd.h"
#include "kernels/simd_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

// log sum exp(scale x)
template <class T, class A = accumulate_t<T>>
A log_sum_exp(const T* x, size_t n, A scale) {
  const hn::ScalableTag<A> d;
  const auto lowest = hn::Set(d, -std::numeric_limits<A>::infinity());
  const A largest = max_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    return pad_row(d, load_row(d, x + i, count), lowest, count);
  });
  const auto m = hn::Set(d, largest), s = hn::Set(d, scale);
  return scale * largest + std::log(sum_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
           const auto e = row_exp(d, hn::Mul(s, hn::Sub(load_row(d, x + i, count), m)));
           return keep_row(d, e, count);
         }));
}

template <class T, class A = accumulate_t<T>>
A sum_row(const T* x, size_t n) {
  const hn::ScalableTag<A> d;
  return sum_vectors<A>(n,
                        [&](size_t i, auto count) HWY_ATTR { return load_row(d, x + i, count); });
}

template <class T, class A = accumulate_t<T>>
A dot(const T* x, const T* t, size_t n) {
  const hn::ScalableTag<A> d;
  return sum_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    return hn::Mul(load_row(d, x + i, count), load_row(d, t + i, count));
  });
}

template <class T, class A = accumulate_t<T>>
A loss_of_row(const DistributionRows& a, const T* x, const T* t) {
  const hn::ScalableTag<A> d;
  const size_t n = static_cast<size_t>(a.classes);
  const A c = static_cast<A>(a.parameter);
  if (a.kind == RowLoss::distillation) {
    const A scale = 1 / c, lse = log_sum_exp(x, n, scale), lse_t = log_sum_exp(t, n, scale);
    const auto s = hn::Set(d, scale), base = hn::Set(d, lse_t);
    const A expected = sum_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
      const auto teacher = load_row(d, t + i, count);
      const auto p = keep_row(d, row_exp(d, hn::MulSub(s, teacher, base)), count);
      return hn::Mul(p, hn::Mul(s, hn::Sub(teacher, load_row(d, x + i, count))));
    });
    return c * c * (expected - lse_t + lse);
  }
  const A lse = log_sum_exp(x, n, A(1));
  if (a.kind == RowLoss::z) return lse * lse;
  const A targets = (1 - c) * sum_row(t, n) + c;
  const A spread = c > 0 ? c * sum_row(x, n) / static_cast<A>(n) : A(0);
  return lse * targets - (1 - c) * dot(x, t, n) - spread;
}

template <class T, class A = accumulate_t<T>>
void gradient_of_row(const DistributionRows& a, const T* x, const T* t, A row_scale, T* dx) {
  const hn::ScalableTag<A> d;
  const size_t n = static_cast<size_t>(a.classes);
  const A c = static_cast<A>(a.parameter);
  if (a.kind == RowLoss::distillation) {
    const A scale = 1 / c;
    const auto s = hn::Set(d, scale), k = hn::Set(d, row_scale * c);
    const auto lse = hn::Set(d, log_sum_exp(x, n, scale));
    const auto lse_t = hn::Set(d, log_sum_exp(t, n, scale));
    for_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
      const auto p = row_exp(d, hn::MulSub(s, load_row(d, x + i, count), lse));
      const auto p_t = row_exp(d, hn::MulSub(s, load_row(d, t + i, count), lse_t));
      store_row(d, hn::Mul(k, hn::Sub(p, p_t)), dx + i, count);
    });
    return;
  }
  const A log_sum = log_sum_exp(x, n, A(1));
  const bool z = a.kind == RowLoss::z;
  const A of_p = row_scale * (z ? 2 * log_sum : (1 - c) * sum_row(t, n) + c);
  const auto lse = hn::Set(d, log_sum), k = hn::Set(d, of_p);
  const auto of_t = hn::Set(d, row_scale * (1 - c));
  const auto spread = hn::Set(d, row_scale * c / static_cast<A>(n));
  for_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    auto g = hn::Mul(k, row_exp(d, hn::Sub(load_row(d, x + i, count), lse)));
    if (!z) g = hn::Sub(hn::NegMulAdd(of_t, load_row(d, t + i, count), g), spread);
    store_row(d, g, dx + i, count);
  });
}

template <class T>
void rows(const DistributionRows& a, int64_t begin, int64_t end) {
  using A = accumulate_t<T>;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * a.classes;
    const T* x = static_cast<const T*>(a.logits) + at;
    const T* t = a.targets == nullptr ? x : static_cast<const T*>(a.targets) + at;
    if (a.losses != nullptr) {
      static_cast<A*>(a.losses)[row] = loss_of_row<T>(a, x, t);
    } else {
      gradient_of_row<T>(a, x, t, static_cast<const A*>(a.scales)[row],
                         static_cast<T*>(a.gradient) + at);
    }
  }
}

void distribution_rows(const DistributionRows& a, int64_t begin, int64_t end) {
  if (a.dtype == DType::f32) return rows<float>(a, begin, end);
  if (a.dtype == DType::bf16) return rows<bfloat16>(a, begin, end);
  return rows<double>(a, begin, end);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<void(const DistributionRows&, int64_t)> distribution_cuda;

namespace {

HWY_EXPORT(distribution_rows);

DType accumulation(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

void run(RowLoss kind, double parameter, const Tensor& logits, const Tensor& targets,
         const Tensor& losses, const Tensor& scales, const Tensor& gradient) {
  const DType dtype = logits.dtype();
  HEED_CHECK(dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f64,
             "row loss: logits are {}, need f32, bf16 or f64", logits);
  HEED_CHECK(logits.rank() == 2 && logits.size(1) > 0 && logits.is_contiguous(),
             "row loss: logits are {}, need row-major [R, V]", logits);
  HEED_CHECK(targets.defined() == (kind != RowLoss::z) &&
                 (!targets.defined() || (targets.shape() == logits.shape() &&
                                         targets.dtype() == dtype && targets.is_contiguous())),
             "row loss: targets do not fit the logits {}", logits);
  const auto raw = [](const Tensor& t) { return t.defined() ? t.raw() : nullptr; };
  const DistributionRows args{kind,         dtype,       logits.size(1), parameter,    logits.raw(),
                              raw(targets), raw(losses), raw(scales),    raw(gradient)};
  if (logits.device().is_cuda()) {
    const OpCall call("row loss", logits, targets, scales);
    if (logits.size(0) > 0) distribution_cuda(call, args, logits.size(0));
    return;
  }
  require_cpu(logits.device(), "row loss");
  parallel_for(logits.size(0), std::max<int64_t>(1, 8192 / args.classes),
               [&](int64_t begin, int64_t end) {
                 HWY_DYNAMIC_DISPATCH(distribution_rows)(args, begin, end);
               });
}

}  // namespace

Tensor row_losses(RowLoss kind, double parameter, const Tensor& logits, const Tensor& targets) {
  const Tensor losses =
      Tensor::empty({logits.size(0)}, accumulation(logits.dtype()), logits.device());
  run(kind, parameter, logits, targets, losses, {}, {});
  return losses;
}

Tensor row_losses_backward(RowLoss kind, double parameter, const Tensor& logits,
                           const Tensor& targets, const Tensor& scales) {
  HEED_CHECK((scales.shape() == Shape{logits.size(0)}) && scales.is_contiguous() &&
                 scales.dtype() == accumulation(logits.dtype()),
             "row loss: scales {} for logits {}", scales, logits);
  const Tensor gradient = Tensor::empty(logits.shape(), logits.dtype(), logits.device());
  run(kind, parameter, logits, targets, {}, scales, gradient);
  return gradient;
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
