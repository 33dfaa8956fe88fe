// Each row is read from memory once: its statistics, the result and (in the backward pass) both
// inner products are taken while it lies in the first-level cache. Forward moves 2 elements an
// element (4 with the residual), backward 3 (4), so memory bandwidth is the limit.
#include "kernels/norm/norm.h"

#include <algorithm>
#include <cmath>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/norm/rows.h"
#include "kernels/reduce/reduce.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/norm.cpp"
#include "kernels/simd.h"
#include "kernels/simd_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

template <class T>
void forward_rows(const NormForwardRows& a, int64_t begin, int64_t end) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const size_t n = static_cast<size_t>(a.width);
  const A inverse_n = A(1) / static_cast<A>(n);
  const auto* weight = static_cast<const A*>(a.weight);
  const auto* bias = static_cast<const A*>(a.bias);
  for (int64_t row = begin; row < end; ++row) {
    const T* x = static_cast<const T*>(a.x) + row * a.width;
    if (a.residual != nullptr) {
      const T* residual = static_cast<const T*>(a.residual) + row * a.width;
      T* sum = static_cast<T*>(a.sum) + row * a.width;
      for_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
        store_row(d, hn::Add(load_row(d, residual + i, count), load_row(d, x + i, count)), sum + i,
                  count);
      });
      x = sum;  // as rounded: the backward pass sees the same
    }
    A mean = 0;
    if (a.centred) {
      mean = inverse_n * sum_vectors<A>(n, [&](size_t i, auto count)
                                               HWY_ATTR { return load_row(d, x + i, count); });
      static_cast<A*>(a.mean)[row] = mean;
    }
    const auto centre = hn::Set(d, mean);
    const A squares = sum_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
      const auto c = keep_row(d, hn::Sub(load_row(d, x + i, count), centre), count);
      return hn::Mul(c, c);
    });
    const A rstd = A(1) / std::sqrt(squares * inverse_n + static_cast<A>(a.eps));
    static_cast<A*>(a.rstd)[row] = rstd;

    T* out = static_cast<T*>(a.out) + row * a.width;
    const auto scale = hn::Set(d, rstd);
    for_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
      auto y = hn::Mul(hn::Sub(load_row(d, x + i, count), centre), scale);
      if (weight != nullptr) y = hn::Mul(y, load_row(d, weight + i, count));
      if (bias != nullptr) y = hn::Add(y, load_row(d, bias + i, count));
      store_row(d, y, out + i, count);
    });
  }
}

// dweight and dbias [C] are added to; either may be null.
template <class T>
void backward_rows(const NormBackwardRows& a, void* dweight_sum, void* dbias_sum, int64_t begin,
                   int64_t end) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const size_t n = static_cast<size_t>(a.width);
  const A inverse_n = A(1) / static_cast<A>(n);
  const auto* weight = static_cast<const A*>(a.weight);
  auto* dweight = static_cast<A*>(dweight_sum);
  auto* dbias = static_cast<A*>(dbias_sum);
  for (int64_t row = begin; row < end; ++row) {
    const T* x = static_cast<const T*>(a.x) + row * a.width;
    const T* dy = static_cast<const T*>(a.dy) + row * a.width;
    const auto centre = hn::Set(d, a.centred ? static_cast<const A*>(a.mean)[row] : A(0));
    const auto scale = hn::Set(d, static_cast<const A*>(a.rstd)[row]);
    const auto gradient = [&](size_t i, auto count) HWY_ATTR {
      const auto g = load_row(d, dy + i, count);
      return weight != nullptr ? hn::Mul(g, load_row(d, weight + i, count)) : g;
    };

    auto sum_g = hn::Zero(d), sum_gx = hn::Zero(d);
    for_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
      const auto g = load_row(d, dy + i, count);
      const auto x_hat = hn::Mul(hn::Sub(load_row(d, x + i, count), centre), scale);
      const auto gw = gradient(i, count);
      sum_g = hn::Add(sum_g, gw);
      sum_gx = hn::MulAdd(gw, x_hat, sum_gx);
      if (dweight != nullptr) {
        store_row(d, hn::MulAdd(g, x_hat, load_row(d, dweight + i, count)), dweight + i, count);
      }
      if (dbias != nullptr) {
        store_row(d, hn::Add(g, load_row(d, dbias + i, count)), dbias + i, count);
      }
    });
    if (a.dx == nullptr) continue;

    const auto mean_g =
        a.centred ? hn::Mul(hn::SumOfLanes(d, sum_g), hn::Set(d, inverse_n)) : hn::Zero(d);
    const auto mean_gx = hn::Mul(hn::SumOfLanes(d, sum_gx), hn::Set(d, inverse_n));
    const T* dsum = a.dsum ? static_cast<const T*>(a.dsum) + row * a.width : nullptr;
    T* dx = static_cast<T*>(a.dx) + row * a.width;
    for_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
      const auto x_hat = hn::Mul(hn::Sub(load_row(d, x + i, count), centre), scale);
      const auto inner = hn::NegMulAdd(x_hat, mean_gx, hn::Sub(gradient(i, count), mean_g));
      auto out = hn::Mul(scale, inner);
      if (dsum != nullptr) out = hn::Add(out, load_row(d, dsum + i, count));
      store_row(d, out, dx + i, count);
    });
  }
}

void norm_forward_rows(const NormForwardRows& a, int64_t begin, int64_t end) {
  if (a.dtype == DType::f32) return forward_rows<float>(a, begin, end);
  if (a.dtype == DType::bf16) return forward_rows<bfloat16>(a, begin, end);
  return forward_rows<double>(a, begin, end);
}

void norm_backward_rows(const NormBackwardRows& a, void* dweight, void* dbias, int64_t begin,
                        int64_t end) {
  if (a.dtype == DType::f32) return backward_rows<float>(a, dweight, dbias, begin, end);
  if (a.dtype == DType::bf16) return backward_rows<bfloat16>(a, dweight, dbias, begin, end);
  return backward_rows<double>(a, dweight, dbias, begin, end);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<void(const NormForwardRows&, int64_t)> norm_cuda;
DeviceKernel<void(const NormBackwardRows&, int64_t, const NormPartials&)> norm_backward_cuda;

namespace {

HWY_EXPORT(norm_forward_rows);
HWY_EXPORT(norm_backward_rows);

constexpr int64_t kChunkElements = 16384;  // enough work to be worth a thread's while
constexpr int64_t kMaxPartials = 64;       // partial sums of dweight and dbias
constexpr int64_t kDevicePartials = 264;   // the same on a device: a few a multiprocessor

DType accumulation(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

Tensor row_parameter(const Tensor& p, const char* name, const char* op, int64_t width,
                     DType dtype) {
  if (!p.defined()) return p;
  HEED_CHECK(p.rank() == 1 && p.size(0) == width, "{}: {} is {}, needs [{}]", op, name, p, width);
  return contiguous_as(p, dtype);
}

void* raw_or_null(const Tensor& t) { return t.defined() ? t.raw() : nullptr; }

// sum[c] = sum over chunks of partial[chunk][c], in order of chunks.
Tensor sum_partials(const Tensor& partials) {
  const int64_t chunks = partials.size(0), width = partials.size(1);
  const Tensor sum = Tensor::zeros({width}, partials.dtype());
  dispatch_floating(partials.dtype(), "norm", [&](auto type) {
    using A = decltype(type);
    const A* from = partials.data<A>();
    A* to = sum.data<A>();
    parallel_for(width, 512, [&](int64_t begin, int64_t end) {
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        for (int64_t c = begin; c < end; ++c) {
          to[c] = static_cast<A>(to[c] + from[chunk * width + c]);
        }
      }
    });
  });
  return sum;
}

}  // namespace

NormResult norm(Norm kind, const Tensor& residual, const Tensor& x, const Tensor& weight,
                const Tensor& bias, double eps) {
  const char* op = kind == Norm::layer ? "layer_norm" : "rms_norm";
  HEED_CHECK(x.rank() >= 1 && x.size(-1) > 0, "{}: x is {}, needs [..., C] with C > 0", op, x);
  HEED_CHECK(x.dtype() == DType::f32 || x.dtype() == DType::bf16 || x.dtype() == DType::f64,
             "{}: x is {}, needs f32, bf16 or f64", op, x);
  HEED_CHECK(
      !residual.defined() || (residual.shape() == x.shape() && residual.dtype() == x.dtype()),
      "{}: the residual is {}, x is {}", op, residual, x);
  const int64_t width = x.size(-1), rows = x.numel() / width;
  const DType statistics = accumulation(x.dtype());
  const Tensor dense = contiguous_as(x, x.dtype());
  const Tensor dense_residual =
      residual.defined() ? contiguous_as(residual, residual.dtype()) : residual;
  const Tensor w = row_parameter(weight, "weight", op, width, statistics);
  const Tensor b = row_parameter(bias, "bias", op, width, statistics);

  NormResult result;
  const Device device = x.device();
  result.out = Tensor::empty(x.shape(), x.dtype(), device);
  if (residual.defined()) result.sum = Tensor::empty(x.shape(), x.dtype(), device);
  if (kind == Norm::layer) result.mean = Tensor::empty({rows}, statistics, device);
  result.rstd = Tensor::empty({rows}, statistics, device);
  const NormForwardRows args{x.dtype(),
                             kind == Norm::layer,
                             width,
                             eps,
                             dense.raw(),
                             raw_or_null(dense_residual),
                             raw_or_null(w),
                             raw_or_null(b),
                             raw_or_null(result.sum),
                             result.out.raw(),
                             raw_or_null(result.mean),
                             result.rstd.raw()};
  if (device.is_cuda()) {
    norm_cuda({op, x, residual, weight, bias}, args, rows);
    return result;
  }
  require_cpu(device, op);
  parallel_for(rows, std::max<int64_t>(1, kChunkElements / width), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(norm_forward_rows)(args, begin, end);
  });
  return result;
}

NormGradients norm_backward(Norm kind, const Tensor& dy, const Tensor& dsum, const Tensor& x,
                            const Tensor& weight, const Tensor& mean, const Tensor& rstd,
                            const NormWanted& wanted) {
  HEED_CHECK(dy.shape() == x.shape(), "norm_backward: dy is {}, x is {}", dy, x);
  const int64_t width = x.size(-1), rows = x.numel() / width;
  const DType statistics = accumulation(x.dtype());
  const Tensor dense = contiguous_as(x, x.dtype());
  const Tensor dense_dy = contiguous_as(dy, x.dtype());
  const Tensor dense_dsum = dsum.defined() ? contiguous_as(dsum, x.dtype()) : dsum;
  const Tensor w = row_parameter(weight, "weight", "norm_backward", width, statistics);

  NormGradients result;
  if (wanted.dx) result.dx = Tensor::empty(x.shape(), x.dtype(), x.device());
  const NormBackwardRows args{
      x.dtype(),      kind == Norm::layer,     width,          dense.raw(),
      dense_dy.raw(), raw_or_null(dense_dsum), raw_or_null(w), raw_or_null(mean),
      rstd.raw(),     raw_or_null(result.dx)};
  if (x.device().is_cuda()) {
    const int64_t chunks = std::clamp<int64_t>(rows / 4, 1, kDevicePartials);
    const auto partials = [&](bool want) {
      return want ? Tensor::empty({chunks, width}, statistics, x.device()) : Tensor();
    };
    const Tensor dweight = partials(wanted.dweight), dbias = partials(wanted.dbias);
    norm_backward_cuda({"norm_backward", x, dy, dsum, weight, mean, rstd}, args, rows,
                       {chunks, raw_or_null(dweight), raw_or_null(dbias)});
    if (wanted.dweight) result.dweight = column_sums(dweight);
    if (wanted.dbias) result.dbias = column_sums(dbias);
    return result;
  }
  const int64_t grain =
      std::max({int64_t{1}, kChunkElements / width, (rows + kMaxPartials - 1) / kMaxPartials});
  const int64_t chunks = (rows + grain - 1) / grain;
  Tensor dweight, dbias;
  if (wanted.dweight) dweight = Tensor::zeros({chunks, width}, statistics);
  if (wanted.dbias) dbias = Tensor::zeros({chunks, width}, statistics);
  const int64_t row_bytes = width * static_cast<int64_t>(size_of(statistics));
  const auto partial = [&](const Tensor& partials, int64_t chunk) -> void* {
    return partials.defined() ? static_cast<char*>(partials.raw()) + chunk * row_bytes : nullptr;
  };
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    const int64_t chunk = begin / grain;
    HWY_DYNAMIC_DISPATCH(norm_backward_rows)
    (args, partial(dweight, chunk), partial(dbias, chunk), begin, end);
  });
  if (wanted.dweight) result.dweight = sum_partials(dweight);
  if (wanted.dbias) result.dbias = sum_partials(dbias);
  return result;
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
