// Reads x and the target (and weights) once, and writes what is asked for: bound by memory but for
// the logarithms.
#include "kernels/loss/pointwise.h"

#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "kernels/loss/pointwise_elements.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/loss/pointwise.cpp"
#include "kernels/simd.h"
#include "kernels/simd_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

// One vector of elements; V is a vector of f32 or f64.
template <class V>
struct Element {
  V x, t, q;  // q: weight of positives
};

template <class V>
struct Slopes {
  V dx, dt;
};

template <class D, class V = hn::Vec<D>>
HWY_INLINE V number(D d, double value) {
  return hn::Set(d, static_cast<hn::TFromD<D>>(value));
}

// log x, not below -100; of 0 and less -100
template <class D, class V = hn::Vec<D>>
HWY_INLINE V bounded_log(D d, V x) {
  const auto least = hn::Set(d, std::numeric_limits<hn::TFromD<D>>::min());
  const auto bound = number(d, -100);
  return hn::IfThenElse(hn::Ge(x, least), hn::Max(hn::Log(d, hn::Max(x, least)), bound), bound);
}

// log(1 + exp(-x))
template <class D, class V = hn::Vec<D>>
HWY_INLINE V softplus_of_negative(D d, V x) {
  const auto e = row_exp(d, hn::Neg(hn::Abs(x)));
  return hn::Add(hn::Max(hn::Neg(x), hn::Zero(d)), hn::Log1p(d, e));
}

struct Squared {
  template <class D, class V>
  static HWY_INLINE V loss(D, const Element<V>& a, V) {
    const auto e = hn::Sub(a.x, a.t);
    return hn::Mul(e, e);
  }
  template <class D, class V>
  static HWY_INLINE Slopes<V> slopes(D, const Element<V>& a, V) {
    const auto e = hn::Sub(a.x, a.t), dx = hn::Add(e, e);
    return {dx, hn::Neg(dx)};
  }
};

struct Absolute {
  template <class D, class V>
  static HWY_INLINE V loss(D, const Element<V>& a, V) {
    return hn::Abs(hn::Sub(a.x, a.t));
  }
  template <class D, class V>
  static HWY_INLINE Slopes<V> slopes(D d, const Element<V>& a, V) {
    const auto zero = hn::Zero(d), one = number(d, 1);
    const auto dx = hn::Sub(hn::IfThenElseZero(hn::Gt(a.x, a.t), one),
                            hn::IfThenElseZero(hn::Lt(a.x, a.t), one));
    return {dx, hn::Sub(zero, dx)};
  }
};

struct Huber {
  template <class D, class V>
  static HWY_INLINE V loss(D d, const Element<V>& a, V c) {
    const auto e = hn::Abs(hn::Sub(a.x, a.t)), half = number(d, 0.5);
    const auto near = hn::Mul(half, hn::Mul(e, e));
    const auto far = hn::Mul(c, hn::NegMulAdd(half, c, e));
    return hn::IfThenElse(hn::Le(e, c), near, far);
  }
  template <class D, class V>
  static HWY_INLINE Slopes<V> slopes(D, const Element<V>& a, V c) {
    const auto dx = hn::Min(hn::Max(hn::Sub(a.x, a.t), hn::Neg(c)), c);
    return {dx, hn::Neg(dx)};
  }
};

struct BceWithLogits {
  template <class D, class V>
  static HWY_INLINE V loss(D d, const Element<V>& a, V) {
    const auto one = number(d, 1);
    const auto positives = hn::MulAdd(hn::Sub(a.q, one), a.t, one);
    return hn::MulAdd(hn::Sub(one, a.t), a.x, hn::Mul(positives, softplus_of_negative(d, a.x)));
  }
  template <class D, class V>
  static HWY_INLINE Slopes<V> slopes(D d, const Element<V>& a, V) {
    const auto one = number(d, 1), extra = hn::Sub(a.q, one);
    const auto positives = hn::MulAdd(extra, a.t, one);
    // 1 - sigmoid(x), from an exponential that cannot overflow
    const auto e = row_exp(d, hn::Neg(hn::Abs(a.x)));
    const auto rest = hn::Div(hn::IfThenElse(hn::Gt(a.x, hn::Zero(d)), e, one), hn::Add(one, e));
    return {hn::NegMulAdd(positives, rest, hn::Sub(one, a.t)),
            hn::MulSub(extra, softplus_of_negative(d, a.x), a.x)};
  }
};

struct Bce {
  template <class D, class V>
  static HWY_INLINE V loss(D d, const Element<V>& a, V) {
    const auto one = number(d, 1);
    const auto other = bounded_log(d, hn::Sub(one, a.x));
    return hn::Neg(hn::MulAdd(a.t, hn::Sub(bounded_log(d, a.x), other), other));
  }
  template <class D, class V>
  static HWY_INLINE Slopes<V> slopes(D d, const Element<V>& a, V) {
    const auto rest = hn::Sub(number(d, 1), a.x);
    const auto spread = hn::Max(hn::Mul(rest, a.x), number(d, 1e-12));
    return {hn::Div(hn::Sub(a.x, a.t), spread), hn::Sub(bounded_log(d, rest), bounded_log(d, a.x))};
  }
};

struct KlDiv {
  template <class D, class V>
  static HWY_INLINE V log_ratio(D d, const Element<V>& a) {
    const auto least = hn::Set(d, std::numeric_limits<hn::TFromD<D>>::min());
    return hn::Sub(hn::Log(d, hn::Max(a.t, least)), a.x);
  }
  template <class D, class V>
  static HWY_INLINE V loss(D d, const Element<V>& a, V) {
    return hn::IfThenElseZero(hn::Gt(a.t, hn::Zero(d)), hn::Mul(a.t, log_ratio(d, a)));
  }
  template <class D, class V>
  static HWY_INLINE Slopes<V> slopes(D d, const Element<V>& a, V) {
    const auto positive = hn::Gt(a.t, hn::Zero(d));
    return {hn::IfThenElseZero(positive, hn::Neg(a.t)),
            hn::IfThenElseZero(positive, hn::Add(log_ratio(d, a), number(d, 1)))};
  }
};

struct KlDivLog {
  template <class D, class V>
  static HWY_INLINE V loss(D d, const Element<V>& a, V) {
    return hn::Mul(row_exp(d, a.t), hn::Sub(a.t, a.x));
  }
  template <class D, class V>
  static HWY_INLINE Slopes<V> slopes(D d, const Element<V>& a, V) {
    const auto p = row_exp(d, a.t);
    return {hn::Neg(p), hn::MulAdd(p, hn::Sub(a.t, a.x), p)};
  }
};

template <class F, class T>
double loss_elements(const PointwiseElements& a, int64_t begin, int64_t end) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const T *x = static_cast<const T*>(a.x) + begin, *t = static_cast<const T*>(a.target) + begin;
  const auto at = [begin](const void* p) {
    return p == nullptr ? nullptr : static_cast<const A*>(p) + begin;
  };
  const A *weight = at(a.weight), *positive = at(a.positive);
  A* losses = a.losses == nullptr ? nullptr : static_cast<A*>(a.losses) + begin;
  const auto c = number(d, a.parameter), factor = number(d, a.factor);
  return static_cast<
      double>(sum_vectors<A>(static_cast<size_t>(end - begin), [&](size_t i, auto count) HWY_ATTR {
    const auto q = positive == nullptr ? number(d, 1) : load_row(d, positive + i, count);
    const Element<hn::Vec<decltype(d)>> e{load_row(d, x + i, count), load_row(d, t + i, count), q};
    auto loss = hn::Mul(factor, F::loss(d, e, c));
    if (weight != nullptr) loss = hn::Mul(loss, load_row(d, weight + i, count));
    if (losses != nullptr) store_row(d, loss, losses + i, count);
    return keep_row(d, loss, count);
  }));
}

template <class F, class T>
void slope_elements(const PointwiseElements& a, int64_t begin, int64_t end) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const T *x = static_cast<const T*>(a.x) + begin, *t = static_cast<const T*>(a.target) + begin;
  const auto at = [begin](const void* p) {
    return p == nullptr ? nullptr : static_cast<const A*>(p) + begin;
  };
  const A *weight = at(a.weight), *positive = at(a.positive), *dy = at(a.dy);
  T* dx = a.dx == nullptr ? nullptr : static_cast<T*>(a.dx) + begin;
  T* dt = a.dtarget == nullptr ? nullptr : static_cast<T*>(a.dtarget) + begin;
  const auto c = number(d, a.parameter);
  for_vectors<A>(static_cast<size_t>(end - begin), [&](size_t i, auto count) HWY_ATTR {
    const auto q = positive == nullptr ? number(d, 1) : load_row(d, positive + i, count);
    const Element<hn::Vec<decltype(d)>> e{load_row(d, x + i, count), load_row(d, t + i, count), q};
    auto factor = number(d, a.factor);
    if (weight != nullptr) factor = hn::Mul(factor, load_row(d, weight + i, count));
    if (dy != nullptr) factor = hn::Mul(factor, load_row(d, dy + i, count));
    const auto slopes = F::slopes(d, e, c);
    if (dx != nullptr) store_row(d, hn::Mul(factor, slopes.dx), dx + i, count);
    if (dt != nullptr) store_row(d, hn::Mul(factor, slopes.dt), dt + i, count);
  });
}

template <class F>
double one_kind(const PointwiseElements& a, int64_t begin, int64_t end) {
  const bool slopes = a.dx != nullptr || a.dtarget != nullptr;
  const auto run = [&](auto type) {
    using T = decltype(type);
    if (!slopes) return loss_elements<F, T>(a, begin, end);
    slope_elements<F, T>(a, begin, end);
    return 0.0;
  };
  if (a.dtype == DType::f32) return run(float{});
  if (a.dtype == DType::bf16) return run(bfloat16{});
  return run(double{});
}

double pointwise_elements(const PointwiseElements& a, int64_t begin, int64_t end) {
  switch (a.kind) {
    case Pointwise::squared:
      return one_kind<Squared>(a, begin, end);
    case Pointwise::absolute:
      return one_kind<Absolute>(a, begin, end);
    case Pointwise::huber:
      return one_kind<Huber>(a, begin, end);
    case Pointwise::bce_with_logits:
      return one_kind<BceWithLogits>(a, begin, end);
    case Pointwise::bce:
      return one_kind<Bce>(a, begin, end);
    case Pointwise::kl_div:
      return one_kind<KlDiv>(a, begin, end);
    case Pointwise::kl_div_log:
      return one_kind<KlDivLog>(a, begin, end);
  }
  return 0;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {
namespace {

HWY_EXPORT(pointwise_elements);

constexpr int64_t kPiece = 8192;

const void* raw_or_null(const Tensor& t) { return t.defined() ? t.raw() : nullptr; }

PointwiseElements elements(const PointwiseLoss& loss) {
  require_cpu(loss.x.device(), "loss");
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
          .dtarget = nullptr};
}

double run(const PointwiseElements& args, int64_t n) {
  return parallel_sum<double>(n, kPiece, [&](int64_t begin, int64_t end) {
    return HWY_DYNAMIC_DISPATCH(pointwise_elements)(args, begin, end);
  });
}

}  // namespace

Tensor pointwise_loss(const PointwiseLoss& loss) {
  PointwiseElements args = elements(loss);
  const Tensor losses =
      Tensor::empty(loss.x.shape(), loss.x.dtype() == DType::f64 ? DType::f64 : DType::f32);
  args.losses = losses.raw();
  run(args, loss.x.numel());
  return losses;
}

double pointwise_loss_sum(const PointwiseLoss& loss) { return run(elements(loss), loss.x.numel()); }

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
  if (want_x) result.dx = Tensor::empty(loss.x.shape(), loss.x.dtype());
  if (want_target) result.dtarget = Tensor::empty(loss.x.shape(), loss.x.dtype());
  args.dx = want_x ? result.dx.raw() : nullptr;
  args.dtarget = want_target ? result.dtarget.raw() : nullptr;
  if ((want_x || want_target) && loss.x.numel() > 0) run(args, loss.x.numel());
  return result;
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
