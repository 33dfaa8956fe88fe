// One pass over all tensors each: bound by memory.
#include "kernels/optim/lists.h"

#include <algorithm>
#include <cmath>

#include "core/op_call.h"
#include "kernels/device_bytes.h"
#include "kernels/optim/chunks.h"
#include "kernels/optim/list_pieces.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/optim/lists.cpp"
#include "kernels/simd.h"
#include "kernels/simd_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

template <class T>
double chunk_squares(const T* x, size_t n) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  return sum_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    const auto v = load_row(d, x + i, count);
    return hn::Mul(v, v);
  });
}

// x - x is 0, or NaN for infinities and NaN.
template <class T>
bool chunk_finite(const T* x, size_t n) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const A sum = sum_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    const auto v = load_row(d, x + i, count);
    return hn::Sub(v, v);
  });
  return sum == A(0);
}

template <class T>
void chunk_clamp(T* x, size_t n, double limit) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const auto high = hn::Set(d, static_cast<A>(limit)), low = hn::Neg(high);
  for_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    const auto v = load_row(d, x + i, count);
    const auto clamped = hn::Min(hn::Max(v, low), high);
    store_row(d, hn::IfThenElse(hn::IsNaN(v), v, clamped), x + i, count);
  });
}

template <class T>
void chunk_scale(T* x, size_t n, double factor) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const auto k = hn::Set(d, static_cast<A>(factor));
  for_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    store_row(d, hn::Mul(load_row(d, x + i, count), k), x + i, count);
  });
}

template <class T>
void chunk_ema(accumulate_t<T>* average, const T* value, size_t n, double decay) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const auto rest = hn::Set(d, static_cast<A>(1.0 - decay));
  for_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    const auto a = load_row(d, average + i, count);
    const auto v = load_row(d, value + i, count);
    store_row(d, hn::MulAdd(rest, hn::Sub(v, a), a), average + i, count);
  });
}

// Calls fn(pointer) with x's type.
template <class Fn>
auto with_type(DType dtype, void* x, const Fn& fn) {
  if (dtype == DType::f32) return fn(static_cast<float*>(x));
  if (dtype == DType::bf16) return fn(static_cast<bfloat16*>(x));
  return fn(static_cast<double*>(x));
}

double squares(DType dtype, void* x, size_t begin, size_t n) {
  return with_type(dtype, x, [&](auto* p) { return chunk_squares(p + begin, n); });
}
bool finite(DType dtype, void* x, size_t begin, size_t n) {
  return with_type(dtype, x, [&](auto* p) { return chunk_finite(p + begin, n); });
}
void clamp(DType dtype, void* x, size_t begin, size_t n, double limit) {
  with_type(dtype, x, [&](auto* p) { chunk_clamp(p + begin, n, limit); });
}
void multiply(DType dtype, void* x, size_t begin, size_t n, double factor) {
  with_type(dtype, x, [&](auto* p) { chunk_scale(p + begin, n, factor); });
}
void average(DType dtype, void* mean, void* x, size_t begin, size_t n, double decay) {
  with_type(dtype, x, [&](auto* p) {
    using A = accumulate_t<std::remove_pointer_t<decltype(p)>>;
    chunk_ema(static_cast<A*>(mean) + begin, p + begin, n, decay);
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<void(const ListPieces&)> list_cuda;

namespace {

HWY_EXPORT(squares);
HWY_EXPORT(finite);
HWY_EXPORT(clamp);
HWY_EXPORT(multiply);
HWY_EXPORT(average);

std::vector<Chunk> chunks_of_list(const char* op, std::span<const Tensor> tensors) {
  for (const Tensor& t : tensors) {
    if (!t.defined()) continue;
    HEED_CHECK(is_floating(t.dtype()) && t.dtype() != DType::f16 && t.is_contiguous(),
               "{}: a tensor of {} (needs row-major f32, bf16 or f64)", op, t);
  }
  const Tensor none = Tensor::empty({0});
  return chunks_of(tensors.size(),
                   [&](size_t i) { return tensors[i].defined() ? tensors[i] : none; });
}

// The first tensor of a list that lies on a device; undefined where none does.
Tensor on_device(std::span<const Tensor> tensors) {
  for (const Tensor& t : tensors) {
    if (t.defined() && t.device().is_cuda()) return t;
  }
  return {};
}

// One launch over all of them; what it says of each chunk, for the ops that say something.
std::vector<double> run_on_device(const char* name, ListOp op, std::span<const Tensor> tensors,
                                  double number, std::span<const Tensor> others = {}) {
  const Tensor any = on_device(tensors);
  const auto chunks = chunks_of_list(name, tensors);
  std::vector<ListTensor> list;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& t = tensors[i];
    HEED_CHECK(!t.defined() || t.device() == any.device(), "{}: tensors on several devices", name);
    list.push_back(t.defined()
                       ? ListTensor{t.dtype(), t.raw(), others.empty() ? nullptr : others[i].raw()}
                       : ListTensor{});
  }
  const Tensor all = device_bytes(list, any.device());
  const Tensor pieces = device_bytes(chunks, any.device());
  const bool tells = op == ListOp::squares || op == ListOp::not_finite;
  const Tensor result = tells ? Tensor::empty({std::ssize(chunks)}, DType::f64, any.device()) : any;
  list_cuda({name, any, all}, {op, number, static_cast<const ListTensor*>(all.raw()),
                               static_cast<const Chunk*>(pieces.raw()), std::ssize(chunks),
                               tells ? result.data<double>() : nullptr});
  return tells ? result.to_vector<double>() : std::vector<double>();
}

size_t length(const Chunk& c) { return static_cast<size_t>(c.end - c.begin); }

void bump_all(std::span<const Tensor> tensors) {
  for (const Tensor& t : tensors) {
    if (t.defined()) t.bump_version();
  }
}

}  // namespace

double global_norm(std::span<const Tensor> tensors) {
  if (on_device(tensors).defined()) {
    double sum = 0;
    for (const double p : run_on_device("global_norm", ListOp::squares, tensors, 0)) sum += p;
    return std::sqrt(sum);
  }
  const auto chunks = chunks_of_list("global_norm", tensors);
  std::vector<double> partial(chunks.size());
  for_each_chunk(chunks, [&](const Chunk& c, int64_t index) {
    const Tensor& t = tensors[c.tensor];
    partial[static_cast<size_t>(index)] =
        HWY_DYNAMIC_DISPATCH(squares)(t.dtype(), t.raw(), static_cast<size_t>(c.begin), length(c));
  });
  double sum = 0;
  for (const double p : partial) sum += p;
  return std::sqrt(sum);
}

int64_t first_not_finite(std::span<const Tensor> tensors) {
  const auto chunks = chunks_of_list("first_not_finite", tensors);
  if (on_device(tensors).defined()) {
    const auto found = run_on_device("first_not_finite", ListOp::not_finite, tensors, 0);
    const auto first = std::find(found.begin(), found.end(), 1.0);
    return first == found.end()
               ? -1
               : static_cast<int64_t>(chunks[static_cast<size_t>(first - found.begin())].tensor);
  }
  std::vector<uint8_t> good(chunks.size());
  for_each_chunk(chunks, [&](const Chunk& c, int64_t index) {
    const Tensor& t = tensors[c.tensor];
    good[static_cast<size_t>(index)] =
        HWY_DYNAMIC_DISPATCH(finite)(t.dtype(), t.raw(), static_cast<size_t>(c.begin), length(c));
  });
  const auto bad = std::find(good.begin(), good.end(), 0);
  return bad == good.end()
             ? -1
             : static_cast<int64_t>(chunks[static_cast<size_t>(bad - good.begin())].tensor);
}

void clamp_inplace(std::span<const Tensor> tensors, double limit) {
  if (on_device(tensors).defined()) {
    run_on_device("clamp", ListOp::clamp, tensors, limit);
    return bump_all(tensors);
  }
  for_each_chunk(chunks_of_list("clamp", tensors), [&](const Chunk& c, int64_t) {
    const Tensor& t = tensors[c.tensor];
    HWY_DYNAMIC_DISPATCH(clamp)
    (t.dtype(), t.raw(), static_cast<size_t>(c.begin), length(c), limit);
  });
  bump_all(tensors);
}

void scale_inplace(std::span<const Tensor> tensors, double factor) {
  if (on_device(tensors).defined()) {
    run_on_device("scale", ListOp::scale, tensors, factor);
    return bump_all(tensors);
  }
  for_each_chunk(chunks_of_list("scale", tensors), [&](const Chunk& c, int64_t) {
    const Tensor& t = tensors[c.tensor];
    HWY_DYNAMIC_DISPATCH(multiply)
    (t.dtype(), t.raw(), static_cast<size_t>(c.begin), length(c), factor);
  });
  bump_all(tensors);
}

void ema_update(std::span<const Tensor> averages, std::span<const Tensor> values, double decay) {
  HEED_CHECK(averages.size() == values.size(), "ema: {} averages of {} tensors", averages.size(),
             values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const DType kept = values[i].dtype() == DType::f64 ? DType::f64 : DType::f32;
    HEED_CHECK(averages[i].shape() == values[i].shape() && averages[i].dtype() == kept &&
                   averages[i].is_contiguous(),
               "ema: an average of {} for {}", averages[i], values[i]);
  }
  if (on_device(values).defined()) {
    run_on_device("ema", ListOp::average, values, 1.0 - decay, averages);
    return bump_all(averages);
  }
  for_each_chunk(chunks_of_list("ema", values), [&](const Chunk& c, int64_t) {
    const Tensor& t = values[c.tensor];
    HWY_DYNAMIC_DISPATCH(average)
    (t.dtype(), averages[c.tensor].raw(), t.raw(), static_cast<size_t>(c.begin), length(c), decay);
  });
  bump_all(averages);
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
