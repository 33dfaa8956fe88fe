// Work per row of V logits: one exponential an element for the losses, one more for the gradient
// from saved logits, none more in place (the exponentials lie in the buffer). A row of 50k f32
// logits is 200 KB and stays in the second-level cache over the passes.
#include "kernels/loss/cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/device_bytes.h"
#include "kernels/index/position.h"
#include "kernels/loss/logit_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/loss/cross_entropy.cpp"
#include "kernels/simd.h"
#include "kernels/simd_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

template <class T, class A = accumulate_t<T>>
A row_max(const T* x, size_t n) {
  const hn::ScalableTag<A> d;
  const auto lowest = hn::Set(d, -std::numeric_limits<A>::infinity());
  return max_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    return pad_row(d, load_row(d, x + i, count), lowest, count);
  });
}

template <class T, class A = accumulate_t<T>>
A row_loss(const T* x, size_t n, int64_t target, A smoothing, A lse) {
  const hn::ScalableTag<A> d;
  A loss = lse - (A(1) - smoothing) * static_cast<A>(x[target]);
  if (smoothing > 0) {
    const A sum =
        sum_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR { return load_row(d, x + i, count); });
    loss -= smoothing * sum / static_cast<A>(n);
  }
  return loss;
}

template <class T>
void loss_rows(const LogitRows& a, int64_t begin, int64_t end) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const size_t n = static_cast<size_t>(a.classes);
  for (int64_t row = begin; row < end; ++row) {
    A& loss = static_cast<A*>(a.losses)[row];
    A& lse = static_cast<A*>(a.lse)[row];
    loss = lse = 0;
    const int64_t target = a.targets[row];
    if (target < 0) continue;
    const T* x = static_cast<const T*>(a.logits) + row * a.classes;
    const A largest = row_max(x, n);
    const auto m = hn::Set(d, largest);
    const A sum = sum_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
      return keep_row(d, row_exp(d, hn::Sub(load_row(d, x + i, count), m)), count);
    });
    lse = largest + std::log(sum);
    loss = row_loss(x, n, target, static_cast<A>(a.smoothing), lse);
  }
}

template <class T>
void gradient_rows(const LogitRows& a, int64_t begin, int64_t end) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const size_t n = static_cast<size_t>(a.classes);
  const A scale = static_cast<A>(a.scale), smoothing = static_cast<A>(a.smoothing);
  const A spread = smoothing / static_cast<A>(n);
  for (int64_t row = begin; row < end; ++row) {
    const T* x = static_cast<const T*>(a.logits) + row * a.classes;
    T* dx = static_cast<T*>(a.gradient) + row * a.classes;
    const int64_t target = a.targets[row];
    if (target < 0) {
      std::fill_n(dx, n, T(0));
      continue;
    }
    const A log_sum = static_cast<const A*>(a.lse)[row];
    const auto lse = hn::Set(d, log_sum), s = hn::Set(d, scale), base = hn::Set(d, spread);
    for_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
      const auto p = row_exp(d, hn::Sub(load_row(d, x + i, count), lse));
      store_row(d, hn::Mul(hn::Sub(p, base), s), dx + i, count);
    });
    const A p = std::exp(static_cast<A>(x[target]) - log_sum);
    dx[target] = T((p - spread - (A(1) - smoothing)) * scale);
  }
}

// T is float or double: x is overwritten with exponentials before the gradient (of type U) is made.
template <class T, class U>
void loss_and_gradient_rows(const LogitRows& a, int64_t begin, int64_t end) {
  const hn::ScalableTag<T> d;
  const size_t n = static_cast<size_t>(a.classes);
  const T scale = static_cast<T>(a.scale), smoothing = static_cast<T>(a.smoothing);
  const T spread = smoothing / static_cast<T>(n);
  for (int64_t row = begin; row < end; ++row) {
    T* x = static_cast<T*>(const_cast<void*>(a.logits)) + row * a.classes;
    U* dx = static_cast<U*>(a.gradient) + row * a.classes;
    T& loss = static_cast<T*>(a.losses)[row];
    const int64_t target = a.targets[row];
    if (target < 0) {
      loss = 0;
      std::fill_n(dx, n, U(0));
      continue;
    }
    const T largest = row_max<T>(x, n);
    const T above_lse = row_loss<T>(x, n, target, smoothing, T(0));
    const auto m = hn::Set(d, largest);
    const T sum = sum_vectors<T>(n, [&](size_t i, auto count) HWY_ATTR {
      const auto e = keep_row(d, row_exp(d, hn::Sub(load_row(d, x + i, count), m)), count);
      store_row(d, e, x + i, count);
      return e;
    });
    loss = largest + std::log(sum) + above_lse;
    const T at_target = (x[target] / sum - spread - (T(1) - smoothing)) * scale;
    const auto k = hn::Set(d, scale / sum), base = hn::Set(d, spread * scale);
    for_vectors<T>(n, [&](size_t i, auto count) HWY_ATTR {
      store_row(d, hn::MulSub(load_row(d, x + i, count), k, base), dx + i, count);
    });
    dx[target] = U(at_target);
  }
}

void logit_rows(const LogitRows& a, int64_t begin, int64_t end) {
  const bool gradient = a.gradient != nullptr, in_place = gradient && a.losses != nullptr;
  if (in_place && a.dtype == DType::f64)
    return loss_and_gradient_rows<double, double>(a, begin, end);
  if (in_place && a.gradient_dtype == DType::bf16) {
    return loss_and_gradient_rows<float, bfloat16>(a, begin, end);
  }
  if (in_place) return loss_and_gradient_rows<float, float>(a, begin, end);
  if (a.dtype == DType::f32) {
    return gradient ? gradient_rows<float>(a, begin, end) : loss_rows<float>(a, begin, end);
  }
  if (a.dtype == DType::bf16) {
    return gradient ? gradient_rows<bfloat16>(a, begin, end) : loss_rows<bfloat16>(a, begin, end);
  }
  return gradient ? gradient_rows<double>(a, begin, end) : loss_rows<double>(a, begin, end);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<void(const LogitRows&, int64_t)> cross_entropy_cuda;

namespace {

HWY_EXPORT(logit_rows);

// The targets are the host's; a device gets a copy of those that it needs.
void run(LogitRows args, const Tensor& logits) {
  const int64_t rows = logits.size(0);
  if (logits.device().is_cuda()) {
    const Tensor targets =
        device_bytes(std::span(args.targets, static_cast<size_t>(rows)), logits.device());
    args.targets = static_cast<const int64_t*>(targets.raw());
    return cross_entropy_cuda({"cross_entropy", logits, targets}, args, rows);
  }
  require_cpu(logits.device(), "cross_entropy");
  parallel_for(rows, std::max<int64_t>(1, 8192 / args.classes), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(logit_rows)(args, begin, end);
  });
}

DType accumulation(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

void check_logits(const Tensor& logits, const Tensor& losses) {
  HEED_CHECK(is_floating(logits.dtype()) && logits.dtype() != DType::f16,
             "cross_entropy: logits are {}, need f32, bf16 or f64", logits);
  HEED_CHECK(logits.rank() == 2 && logits.size(1) > 0 && logits.is_contiguous(),
             "cross_entropy: logits are {}, need row-major [R, V]", logits);
  HEED_CHECK(losses.dtype() == accumulation(logits.dtype()),
             "cross_entropy: losses of {} for logits of {}", losses, logits);
}

}  // namespace

Targets read_targets(const Tensor& targets, int64_t classes, int64_t ignore_index, const char* op) {
  HEED_CHECK(targets.dtype() == DType::i64 || targets.dtype() == DType::i32,
             "{}: targets are {}, need i64 or i32", op, targets);
  Targets result{targets.to_vector<int64_t>()};
  for (size_t i = 0; i < result.ids.size(); ++i) {
    int64_t& id = result.ids[i];
    if (id == ignore_index) {
      id = Targets::kIgnored;
      continue;
    }
    HEED_CHECK(id >= 0 && id < classes,
               "{}: target {} at position {} is neither in [0, {}) nor the ignore index {}", op, id,
               position_of(static_cast<int64_t>(i), targets.shape()), classes, ignore_index);
    ++result.counted;
  }
  return result;
}

void cross_entropy(const Tensor& logits, const Targets& targets, double smoothing,
                   const Tensor& losses, const Tensor& lse) {
  check_logits(logits, losses);
  run({.dtype = logits.dtype(),
       .gradient_dtype = logits.dtype(),
       .classes = logits.size(1),
       .smoothing = smoothing,
       .scale = 0,
       .targets = targets.ids.data(),
       .logits = logits.raw(),
       .losses = losses.raw(),
       .lse = lse.raw(),
       .gradient = nullptr},
      logits);
}

Tensor cross_entropy_backward(const Tensor& logits, const Targets& targets, double smoothing,
                              const Tensor& lse, double scale) {
  check_logits(logits, lse);
  const Tensor gradient = Tensor::empty(logits.shape(), logits.dtype(), logits.device());
  run({.dtype = logits.dtype(),
       .gradient_dtype = logits.dtype(),
       .classes = logits.size(1),
       .smoothing = smoothing,
       .scale = scale,
       .targets = targets.ids.data(),
       .logits = logits.raw(),
       .losses = nullptr,
       .lse = lse.raw(),
       .gradient = gradient.raw()},
      logits);
  return gradient;
}

void cross_entropy_in_place(const Tensor& logits, const Targets& targets, int64_t first,
                            double smoothing, double scale, const Tensor& losses,
                            const Tensor& gradient) {
  check_logits(logits, losses);
  HEED_CHECK(logits.dtype() != DType::bf16, "cross_entropy: in place on logits of {}", logits);
  HEED_CHECK(gradient.is_contiguous() && gradient.shape() == logits.shape() &&
                 (gradient.dtype() == logits.dtype() ||
                  (gradient.dtype() == DType::bf16 && logits.dtype() == DType::f32)),
             "cross_entropy: a gradient of {} for logits of {}", gradient, logits);
  char* loss =
      static_cast<char*>(losses.raw()) + first * static_cast<int64_t>(size_of(losses.dtype()));
  run({.dtype = logits.dtype(),
       .gradient_dtype = gradient.dtype(),
       .classes = logits.size(1),
       .smoothing = smoothing,
       .scale = scale,
       .targets = targets.ids.data() + first,
       .logits = logits.raw(),
       .losses = loss,
       .lse = nullptr,
       .gradient = gradient.raw()},
      logits);
  logits.bump_version();
}

double mean_loss(const Tensor& losses, const Targets& targets) {
  if (targets.counted == 0) return 0;
  if (!losses.device().is_cpu()) return mean_loss(losses.to(kCpu), targets);
  double sum = 0;
  dispatch_floating(losses.dtype(), "cross_entropy", [&](auto type) {
    const auto* loss = losses.data<decltype(type)>();
    for (int64_t i = 0; i < losses.numel(); ++i) sum += static_cast<double>(loss[i]);
  });
  return sum / static_cast<double>(targets.counted);
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
