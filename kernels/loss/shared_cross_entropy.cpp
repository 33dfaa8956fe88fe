// One exponential an element, in place, by the rank's own maximum: what the others' maxima change
// is one factor a row.
#include "kernels/loss/shared_cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/op_call.h"
#include "core/parallel.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/device_bytes.h"
#include "kernels/loss/shared_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/loss/shared_cross_entropy.cpp"
#include "kernels/simd.h"
#include "kernels/simd_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

template <class T>
void fact_rows(const SharedRows& a, int64_t begin, int64_t end) {
  const hn::ScalableTag<T> d;
  const size_t n = static_cast<size_t>(a.classes);
  const auto lowest = hn::Set(d, -std::numeric_limits<T>::infinity());
  for (int64_t row = begin; row < end; ++row) {
    RowFacts<T>& facts = static_cast<RowFacts<T>*>(a.facts)[row];
    facts = {};
    if (!a.counted[row]) continue;
    T* x = static_cast<T*>(a.logits) + row * a.classes;
    const int64_t target = a.targets[row];
    if (target >= 0 && target < a.classes) facts.target = x[target];
    facts.largest = max_vectors<T>(n, [&](size_t i, auto count) HWY_ATTR {
      return pad_row(d, load_row(d, x + i, count), lowest, count);
    });
    facts.total =
        sum_vectors<T>(n, [&](size_t i, auto count) HWY_ATTR { return load_row(d, x + i, count); });
    const auto m = hn::Set(d, facts.largest);
    facts.sum = sum_vectors<T>(n, [&](size_t i, auto count) HWY_ATTR {
      const auto e = keep_row(d, row_exp(d, hn::Sub(load_row(d, x + i, count), m)), count);
      store_row(d, e, x + i, count);
      return e;
    });
  }
}

template <class T, class U>
void gradient_rows(const SharedRows& a, int64_t begin, int64_t end) {
  const hn::ScalableTag<T> d;
  const size_t n = static_cast<size_t>(a.classes);
  const auto base = hn::Set(d, static_cast<T>(a.base));
  for (int64_t row = begin; row < end; ++row) {
    const T* e = static_cast<const T*>(a.logits) + row * a.classes;
    U* dx = static_cast<U*>(a.gradient) + row * a.classes;
    if (!a.counted[row]) {
      std::fill_n(dx, n, U(0));
      continue;
    }
    const T factor = static_cast<const T*>(a.factors)[row];
    const int64_t target = a.targets[row];
    const bool own = target >= 0 && target < a.classes;
    const T at_target = own ? e[target] * factor - static_cast<T>(a.at_target) : T(0);
    const auto k = hn::Set(d, factor);
    for_vectors<T>(n, [&](size_t i, auto count) HWY_ATTR {
      store_row(d, hn::MulSub(load_row(d, e + i, count), k, base), dx + i, count);
    });
    if (own) dx[target] = U(at_target);
  }
}

template <class T>
void shared_rows(const SharedRows& a, int64_t begin, int64_t end) {
  if (a.gradient == nullptr) return fact_rows<T>(a, begin, end);
  if (a.gradient_dtype == DType::bf16) return gradient_rows<T, bfloat16>(a, begin, end);
  gradient_rows<T, T>(a, begin, end);
}

void shared_rows_f32(const SharedRows& a, int64_t begin, int64_t end) {
  shared_rows<float>(a, begin, end);
}
void shared_rows_f64(const SharedRows& a, int64_t begin, int64_t end) {
  shared_rows<double>(a, begin, end);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<void(const SharedRows&, int64_t)> shared_rows_cuda;

namespace {

HWY_EXPORT(shared_rows_f32);
HWY_EXPORT(shared_rows_f64);

template <class T>
void run(const SharedRows& rows, int64_t count) {
  parallel_for(count, std::max<int64_t>(1, 8192 / rows.classes), [&](int64_t begin, int64_t end) {
    if constexpr (std::is_same_v<T, double>) {
      HWY_DYNAMIC_DISPATCH(shared_rows_f64)(rows, begin, end);
    } else {
      HWY_DYNAMIC_DISPATCH(shared_rows_f32)(rows, begin, end);
    }
  });
}

// Losses of the counted rows from all ranks' facts [parts, M]; factors of this rank's exponentials.
template <class T>
void combine(const Tensor& all, const std::vector<uint8_t>& counted, double smoothing, double scale,
             const SharedClasses& shared, const RowFacts<T>* own, T* losses, T* factors) {
  const auto* facts = static_cast<const RowFacts<T>*>(all.raw());
  const size_t rows = counted.size();
  for (size_t row = 0; row < rows; ++row) {
    losses[row] = factors[row] = 0;
    if (!counted[row]) continue;
    RowFacts<T> whole{-std::numeric_limits<T>::infinity(), 0, 0, 0};
    for (int64_t p = 0; p < shared.parts; ++p) {
      const RowFacts<T>& part = facts[static_cast<size_t>(p) * rows + row];
      whole.largest = std::max(whole.largest, part.largest);
      whole.target += part.target;
      whole.total += part.total;
    }
    for (int64_t p = 0; p < shared.parts; ++p) {
      const RowFacts<T>& part = facts[static_cast<size_t>(p) * rows + row];
      whole.sum += part.sum * std::exp(part.largest - whole.largest);
    }
    losses[row] =
        whole.largest + std::log(whole.sum) - static_cast<T>(1 - smoothing) * whole.target;
    if (smoothing > 0) {
      losses[row] -= static_cast<T>(smoothing / static_cast<double>(shared.classes)) * whole.total;
    }
    factors[row] = static_cast<T>(scale) * std::exp(own[row].largest - whole.largest) / whole.sum;
  }
}

template <class T>
void in_place(const Tensor& logits, const Targets& targets, int64_t first, double smoothing,
              double scale, const SharedClasses& shared, const Tensor& losses,
              const Tensor& gradient) {
  const int64_t count = logits.size(0);
  std::vector<int64_t> own_targets(static_cast<size_t>(count));
  std::vector<uint8_t> counted(own_targets.size());
  for (size_t row = 0; row < own_targets.size(); ++row) {
    const int64_t id = targets.ids[static_cast<size_t>(first) + row];
    counted[row] = id != Targets::kIgnored;
    own_targets[row] = id - shared.first;
  }
  constexpr int64_t kFacts = sizeof(RowFacts<T>) / sizeof(T);
  const Device device = logits.device();
  const Tensor facts = Tensor::empty({count, kFacts}, logits.dtype(), device);
  std::vector<T> factors(own_targets.size());
  const double base = scale * smoothing / static_cast<double>(shared.classes);
  Tensor there_targets, there_counted, there_factors;  // on a device
  if (device.is_cuda()) {
    there_targets = device_bytes(own_targets, device);
    there_counted = device_bytes(counted, device);
  }
  SharedRows rows{.dtype = logits.dtype(),
                  .gradient_dtype = gradient.defined() ? gradient.dtype() : logits.dtype(),
                  .classes = logits.size(1),
                  .targets = device.is_cuda() ? static_cast<const int64_t*>(there_targets.raw())
                                              : own_targets.data(),
                  .counted = device.is_cuda() ? static_cast<const uint8_t*>(there_counted.raw())
                                              : counted.data(),
                  .logits = logits.raw(),
                  .facts = facts.raw(),
                  .factors = factors.data(),
                  .base = base,
                  .at_target = base + scale * (1 - smoothing),
                  .gradient = nullptr};
  const auto pass = [&] {
    if (device.is_cpu()) return run<T>(rows, count);
    const OpCall call("shared_cross_entropy", logits, gradient);
    if (count > 0) shared_rows_cuda(call, rows, count);
  };
  pass();
  logits.bump_version();
  // A few numbers a row: their sum over ranks is the host's.
  const Tensor all = shared.gather(facts).to(kCpu), own = facts.to(kCpu);
  std::vector<T> own_losses(own_targets.size());
  combine<T>(all, counted, smoothing, scale, shared, static_cast<const RowFacts<T>*>(own.raw()),
             own_losses.data(), factors.data());
  copy(Tensor::from(own_losses, {count}), views::slice(losses, 0, first, first + count));
  if (!gradient.defined()) return;
  if (device.is_cuda()) {
    there_factors = device_bytes(factors, device);
    rows.factors = there_factors.raw();
  }
  rows.gradient = gradient.raw();
  pass();
}

}  // namespace

void shared_cross_entropy_in_place(const Tensor& logits, const Targets& targets, int64_t first,
                                   double smoothing, double scale, const SharedClasses& shared,
                                   const Tensor& losses, const Tensor& gradient) {
  const char* op = "shared_cross_entropy";
  HEED_CHECK(logits.rank() == 2 && logits.size(1) > 0 && logits.is_contiguous() &&
                 (logits.dtype() == DType::f32 || logits.dtype() == DType::f64) &&
                 losses.dtype() == logits.dtype(),
             "{}: logits are {}, losses {}: need row-major f32 or f64 [R, V] and [R]", op, logits,
             losses);
  HEED_CHECK(shared.first >= 0 && shared.first + logits.size(1) <= shared.classes,
             "{}: classes [{}, {}) of {}", op, shared.first, shared.first + logits.size(1),
             shared.classes);
  HEED_CHECK(
      !gradient.defined() || (gradient.is_contiguous() && gradient.shape() == logits.shape() &&
                              (gradient.dtype() == logits.dtype() ||
                               (gradient.dtype() == DType::bf16 && logits.dtype() == DType::f32))),
      "{}: a gradient of {} for logits of {}", op, gradient, logits);
  if (logits.dtype() == DType::f64) {
    in_place<double>(logits, targets, first, smoothing, scale, shared, losses, gradient);
  } else {
    in_place<float>(logits, targets, first, smoothing, scale, shared, losses, gradient);
  }
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
