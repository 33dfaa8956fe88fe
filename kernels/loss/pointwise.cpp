// Reads x and the target (and weights) once, and writes what is asked for: bound by memory but for
// the logarithms.
#include "kernels/loss/pointwise.h"

#include <algorithm>
#include <vector>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/loss/pointwise_elements.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/loss/pointwise.cpp"
#include "kernels/simd.h"
// after simd.h
#include "kernels/elementwise/numbers-inl.h"
#include "kernels/loss/pointwise-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

// Of an array of factors, which may be missing.
template <class N, class At, class P>
HWY_INLINE N factor_at(At at, const P* factors) {
  return factors == nullptr ? N(1.0) : at(factors);
}

template <class T>
const T* from(const void* p, int64_t begin) {
  return p == nullptr ? nullptr : static_cast<const T*>(p) + begin;
}
template <class T>
T* from(void* p, int64_t begin) {
  return p == nullptr ? nullptr : static_cast<T*>(p) + begin;
}

template <class F, class T>
double loss_elements(const PointwiseElements& a, int64_t begin, int64_t end) {
  using A = accumulate_t<T>;
  using N = Number<A>;
  const T *x = from<T>(a.x, begin), *t = from<T>(a.target, begin);
  const A *weight = from<A>(a.weight, begin), *positive = from<A>(a.positive, begin);
  A* losses = from<A>(a.losses, begin);
  const N c(a.parameter), factor(a.factor);
  return sum_numbers<A>(end - begin, [&](auto at, auto put) HWY_ATTR {
    const PointwiseElement<N> e{at(x), at(t), factor_at<N>(at, positive)};
    const N loss = factor * F::loss(e, c) * factor_at<N>(at, weight);
    if (losses != nullptr) put(loss, losses);
    return loss;
  });
}

template <class F, class T>
void slope_elements(const PointwiseElements& a, int64_t begin, int64_t end) {
  using A = accumulate_t<T>;
  using N = Number<A>;
  const T *x = from<T>(a.x, begin), *t = from<T>(a.target, begin);
  const A *weight = from<A>(a.weight, begin), *positive = from<A>(a.positive, begin);
  const A* dy = from<A>(a.dy, begin);
  T *dx = from<T>(a.dx, begin), *dt = from<T>(a.dtarget, begin);
  const N c(a.parameter), factor(a.factor);
  for_numbers<A>(end - begin, [&](auto at, auto put) HWY_ATTR {
    const PointwiseElement<N> e{at(x), at(t), factor_at<N>(at, positive)};
    const auto slopes = F::slopes(e, c);
    const N scale = factor * factor_at<N>(at, weight) * factor_at<N>(at, dy);
    if (dx != nullptr) put(scale * slopes.dx, dx);
    if (dt != nullptr) put(scale * slopes.dt, dt);
  });
}

double pointwise_elements(const PointwiseElements& a, int64_t begin, int64_t end) {
  const bool slopes = a.dx != nullptr || a.dtarget != nullptr;
  double sum = 0;
  with_pointwise(a.kind, [&](auto functor) {
    using F = decltype(functor);
    const auto run = [&](auto type) {
      using T = decltype(type);
      if (!slopes) {
        sum = loss_elements<F, T>(a, begin, end);
      } else {
        slope_elements<F, T>(a, begin, end);
      }
    };
    if (a.dtype == DType::f32) return run(float{});
    if (a.dtype == DType::bf16) return run(bfloat16{});
    run(double{});
  });
  return sum;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<void(const PointwiseElements&, int64_t)> pointwise_cuda;

namespace {

HWY_EXPORT(pointwise_elements);

const void* raw_or_null(const Tensor& t) { return t.defined() ? t.raw() : nullptr; }

PointwiseElements elements(const PointwiseLoss& loss) {
  const DType dtype = loss.x.dtype();
  HEED_CHECK(dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f64,
             "loss: x is {}, needs f32, bf16 or f64", loss.x);
  HEED_CHECK(loss.target.shape() == loss.x.shape() && loss.target.dtype() == dtype &&
                 loss.x.is_contiguous() && loss.target.is_contiguous(),
             "loss: a target of {} for {}", loss.target, loss.x);
  const DType sums = dtype == DType::f64 ? DType::f64 : DType::f32;
  for (const Tensor& t : {loss.weight, loss.positive}) {
    HEED_CHECK(
        !t.defined() || (t.shape() == loss.x.shape() && t.dtype() == sums && t.is_contiguous()),
        "loss: a weight of {} for {}", t, loss.x);
  }
  return {.kind = loss.kind,
          .dtype = dtype,
          .parameter = loss.parameter,
          .factor = loss.factor,
          .x = loss.x.raw(),
          .target = loss.target.raw(),
          .weight = raw_or_null(loss.weight),
          .positive = raw_or_null(loss.positive),
          .dy = nullptr,
          .losses = nullptr,
          .dx = nullptr,
          .dtarget = nullptr,
          .sums = nullptr};
}

double run(const PointwiseLoss& loss, const PointwiseElements& args) {
  const int64_t n = loss.x.numel();
  if (loss.x.device().is_cuda()) {
    if (n > 0) pointwise_cuda({"loss", loss.x, loss.target, loss.weight, loss.positive}, args, n);
    return 0;
  }
  require_cpu(loss.x.device(), "loss");
  return parallel_sum<double>(n, kPointwisePiece, [&](int64_t begin, int64_t end) {
    return HWY_DYNAMIC_DISPATCH(pointwise_elements)(args, begin, end);
  });
}

}  // namespace

Tensor pointwise_loss(const PointwiseLoss& loss) {
  PointwiseElements args = elements(loss);
  const Tensor losses = Tensor::empty(
      loss.x.shape(), loss.x.dtype() == DType::f64 ? DType::f64 : DType::f32, loss.x.device());
  args.losses = losses.raw();
  run(loss, args);
  return losses;
}

double pointwise_loss_sum(const PointwiseLoss& loss) {
  PointwiseElements args = elements(loss);
  if (loss.x.device().is_cpu()) return run(loss, args);
  const int64_t pieces = (loss.x.numel() + kPointwisePiece - 1) / kPointwisePiece;
  const Tensor sums = Tensor::empty({pieces}, DType::f64, loss.x.device());
  args.sums = static_cast<double*>(sums.raw());
  run(loss, args);
  double total = 0;
  for (const double sum : sums.to_vector<double>()) total += sum;
  return total;
}

PointwiseGradients pointwise_loss_backward(const PointwiseLoss& loss, const Tensor& dy,
                                           double scale, bool want_x, bool want_target) {
  PointwiseElements args = elements(loss);
  HEED_CHECK(
      !dy.defined() || (dy.shape() == loss.x.shape() && dy.is_contiguous() &&
                        dy.dtype() == (loss.x.dtype() == DType::f64 ? DType::f64 : DType::f32)),
      "loss: a gradient of {} for {}", dy, loss.x);
  args.factor *= scale;
  args.dy = raw_or_null(dy);
  PointwiseGradients result;
  if (want_x) result.dx = Tensor::empty(loss.x.shape(), loss.x.dtype(), loss.x.device());
  if (want_target) {
    result.dtarget = Tensor::empty(loss.x.shape(), loss.x.dtype(), loss.x.device());
  }
  args.dx = want_x ? result.dx.raw() : nullptr;
  args.dtarget = want_target ? result.dtarget.raw() : nullptr;
  if ((want_x || want_target) && loss.x.numel() > 0) run(loss, args);
  return result;
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
