// Reads p, g, b and writes p, b: 20 bytes an f32 parameter (12 without momentum), bound by memory.
#include "kernels/optim/sgd.h"

#include "kernels/optim/chunks.h"
#include "kernels/optim/sgd_rows.h"
#include "kernels/optim/update_on_device.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/optim/sgd.cpp"
#include "kernels/simd.h"
#include "kernels/simd_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

template <class T>
void sgd_elements(const SgdRows& a, int64_t begin, int64_t end) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  T* parameter = static_cast<T*>(a.parameter) + begin;
  const T* gradient = static_cast<const T*>(a.gradient) + begin;
  A* buffer = a.buffer ? static_cast<A*>(a.buffer) + begin : nullptr;
  const auto grad_scale = hn::Set(d, static_cast<A>(a.grad_scale));
  const auto weight_decay = hn::Set(d, static_cast<A>(a.weight_decay));
  const auto lr = hn::Set(d, static_cast<A>(a.lr));
  const auto momentum = hn::Set(d, static_cast<A>(a.momentum));
  for_vectors<A>(static_cast<size_t>(end - begin), [&](size_t i, auto count) HWY_ATTR {
    const auto p = load_row(d, parameter + i, count);
    const auto g =
        hn::MulAdd(load_row(d, gradient + i, count), grad_scale, hn::Mul(weight_decay, p));
    auto direction = g;
    if (buffer != nullptr) {
      const auto b = hn::MulAdd(momentum, load_row(d, buffer + i, count), g);
      store_row(d, b, buffer + i, count);
      direction = a.nesterov ? hn::MulAdd(momentum, b, g) : b;
    }
    store_row(d, hn::NegMulAdd(lr, direction, p), parameter + i, count);
  });
}

void sgd_rows(const SgdRows& a, int64_t begin, int64_t end) {
  if (a.dtype == DType::f32) return sgd_elements<float>(a, begin, end);
  if (a.dtype == DType::bf16) return sgd_elements<bfloat16>(a, begin, end);
  return sgd_elements<double>(a, begin, end);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<void(const SgdRows*, const Chunk*, int64_t)> sgd_cuda;

HWY_EXPORT(sgd_rows);

void sgd(std::span<const SgdUpdate> updates, bool nesterov, double grad_scale) {
  std::vector<SgdRows> rows;
  for (const SgdUpdate& u : updates) {
    const Device device = u.parameter.device();
    HEED_CHECK(device == updates[0].parameter.device() && device == u.gradient.device() &&
                   (!u.momentum_buffer.defined() || device == u.momentum_buffer.device()),
               "sgd: a gradient or buffer on another device than a parameter of {} on {}",
               u.parameter, device.to_string());
    const DType dtype = u.parameter.dtype();
    HEED_CHECK(dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f64,
               "sgd: a parameter of {}", u.parameter);
    HEED_CHECK(u.parameter.is_contiguous() && u.gradient.is_contiguous() &&
                   u.gradient.shape() == u.parameter.shape() && u.gradient.dtype() == dtype,
               "sgd: a gradient of {} for a parameter of {}", u.gradient, u.parameter);
    const Tensor& buffer = u.momentum_buffer;
    HEED_CHECK(buffer.defined() == (u.momentum != 0), "sgd: momentum {} with a buffer of {}",
               u.momentum, buffer);
    HEED_CHECK(
        !buffer.defined() || (buffer.is_contiguous() && buffer.shape() == u.parameter.shape() &&
                              buffer.dtype() == (dtype == DType::f64 ? DType::f64 : DType::f32)),
        "sgd: a buffer of {} for a parameter of {}", buffer, u.parameter);
    rows.push_back({dtype, u.parameter.raw(), u.gradient.raw(),
                    buffer.defined() ? buffer.raw() : nullptr, u.scale * grad_scale, u.lr,
                    u.momentum, u.scale * u.weight_decay, nesterov});
  }
  const auto chunks = chunks_of(updates.size(), [&](size_t i) { return updates[i].parameter; });
  if (!updates.empty() && updates[0].parameter.device().is_cuda()) {
    update_on_device("sgd", sgd_cuda, rows, chunks, updates[0].parameter);
  } else {
    for_each_chunk(chunks, [&](const Chunk& c, int64_t) {
      HWY_DYNAMIC_DISPATCH(sgd_rows)(rows[c.tensor], c.begin, c.end);
    });
  }
  for (const SgdUpdate& u : updates) {
    u.parameter.bump_version();
    if (u.momentum_buffer.defined()) u.momentum_buffer.bump_version();
  }
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
