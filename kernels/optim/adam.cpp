// Reads p, g, m, v and writes p, m, v: 28 bytes an f32 parameter, bound by memory.
#include "kernels/optim/adam.h"

#include <cmath>

#include "kernels/optim/adam_rows.h"
#include "kernels/optim/chunks.h"
#include "kernels/optim/update_on_device.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/optim/adam.cpp"
#include "kernels/simd.h"
#include "kernels/simd_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

template <class T>
void adam_elements(const AdamRows& a, int64_t begin, int64_t end) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  T* parameter = static_cast<T*>(a.parameter) + begin;
  const T* gradient = static_cast<const T*>(a.gradient) + begin;
  A* exp_avg = static_cast<A*>(a.exp_avg) + begin;
  A* exp_avg_sq = static_cast<A*>(a.exp_avg_sq) + begin;
  const auto constant = [&](double value) HWY_ATTR { return hn::Set(d, static_cast<A>(value)); };
  const auto grad_scale = constant(a.grad_scale), add_decay = constant(a.add_decay);
  const auto keep = constant(a.keep), beta2 = constant(a.beta2), step_size = constant(a.step_size);
  const auto rest1 = constant(1.0 - a.beta1), rest2 = constant(1.0 - a.beta2);
  const auto correction = constant(a.correction), eps = constant(a.eps);
  for_vectors<A>(static_cast<size_t>(end - begin), [&](size_t i, auto count) HWY_ATTR {
    auto p = load_row(d, parameter + i, count);
    const auto g = hn::MulAdd(load_row(d, gradient + i, count), grad_scale, hn::Mul(add_decay, p));
    auto m = load_row(d, exp_avg + i, count);
    m = hn::MulAdd(rest1, hn::Sub(g, m), m);
    const auto v =
        hn::MulAdd(beta2, load_row(d, exp_avg_sq + i, count), hn::Mul(rest2, hn::Mul(g, g)));
    const auto denominator = hn::MulAdd(hn::Sqrt(v), correction, eps);
    p = hn::NegMulAdd(step_size, hn::Div(m, denominator), hn::Mul(p, keep));
    store_row(d, m, exp_avg + i, count);
    store_row(d, v, exp_avg_sq + i, count);
    store_row(d, p, parameter + i, count);
  });
}

void adam_rows(const AdamRows& a, int64_t begin, int64_t end) {
  if (a.dtype == DType::f32) return adam_elements<float>(a, begin, end);
  if (a.dtype == DType::bf16) return adam_elements<bfloat16>(a, begin, end);
  return adam_elements<double>(a, begin, end);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<void(const AdamRows*, const Chunk*, int64_t)> adam_cuda;

HWY_EXPORT(adam_rows);

void adam(std::span<const AdamUpdate> updates, Decay decay, int64_t step, double grad_scale) {
  HEED_CHECK(step >= 1, "adam: step {} (the first is 1)", step);
  std::vector<AdamRows> rows;
  for (const AdamUpdate& u : updates) {
    const Device device = u.parameter.device();
    HEED_CHECK(device == updates[0].parameter.device(), "adam: parameters on several devices");
    const DType dtype = u.parameter.dtype();
    const DType moments = dtype == DType::f64 ? DType::f64 : DType::f32;
    HEED_CHECK(dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f64,
               "adam: a parameter of {}", u.parameter);
    for (const Tensor* t : {&u.parameter, &u.gradient, &u.exp_avg, &u.exp_avg_sq}) {
      const bool moment = t == &u.exp_avg || t == &u.exp_avg_sq;
      HEED_CHECK(t->is_contiguous() && t->device() == device && t->shape() == u.parameter.shape() &&
                     t->dtype() == (moment ? moments : dtype),
                 "adam: {} beside a parameter of {}", *t, u.parameter);
    }
    const double t = static_cast<double>(step);
    const bool decoupled = decay == Decay::decoupled;
    rows.push_back({.dtype = dtype,
                    .parameter = u.parameter.raw(),
                    .gradient = u.gradient.raw(),
                    .exp_avg = u.exp_avg.raw(),
                    .exp_avg_sq = u.exp_avg_sq.raw(),
                    .grad_scale = grad_scale,
                    .add_decay = decoupled ? 0.0 : u.weight_decay,
                    .keep = decoupled ? 1.0 - u.lr * u.weight_decay : 1.0,
                    .beta1 = u.beta1,
                    .beta2 = u.beta2,
                    .step_size = u.lr / (1.0 - std::pow(u.beta1, t)),
                    .correction = 1.0 / std::sqrt(1.0 - std::pow(u.beta2, t)),
                    .eps = u.eps});
  }
  const auto chunks = chunks_of(updates.size(), [&](size_t i) { return updates[i].parameter; });
  if (!updates.empty() && updates[0].parameter.device().is_cuda()) {
    update_on_device("adam", adam_cuda, rows, chunks, updates[0].parameter);
  } else {
    for_each_chunk(chunks, [&](const Chunk& c, int64_t) {
      HWY_DYNAMIC_DISPATCH(adam_rows)(rows[c.tensor], c.begin, c.end);
    });
  }
  for (const AdamUpdate& u : updates) {
    for (const Tensor* t : {&u.parameter, &u.exp_avg, &u.exp_avg_sq}) t->bump_version();
  }
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
