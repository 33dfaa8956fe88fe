#include "kernels/elementwise/compare.h"

#include <functional>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/compare_map.h"
#include "kernels/strided.h"

namespace heed::kernels {

DeviceKernel<void(const CompareMap&)> compare_cuda;
DeviceKernel<void(const LogicalMap&)> logical_cuda;
DeviceKernel<void(const SelectMap&)> select_cuda;

namespace {

constexpr int64_t kGrain = 32768;  // elements of a chunk

using Offsets = StridedLoop::Offsets;
using RowsFn = std::function<void(const Offsets& at, const Offsets& step, int64_t n)>;

// fn(offsets and steps of out, then of each input, n) for pieces of rows of a map to row-major out.
void for_rows(const char* op, const Tensor& out, std::initializer_list<Tensor> in,
              const RowsFn& fn) {
  std::vector<Shape> strides = {out.strides()};
  for (const Tensor& x : in) {
    HEED_CHECK(x.device().is_cpu(), "{}: {} on {} beside tensors of the host", op, x,
               x.device().to_string());
    strides.push_back(broadcast_strides(x, out.shape(), op));
  }
  if (out.numel() == 0) return;
  const StridedLoop loop(out.shape(), strides);
  Offsets step{};
  for (size_t k = 0; k < strides.size(); ++k) step[k] = loop.step(static_cast<int>(k));
  parallel_for(loop.numel(), kGrain, [&](int64_t begin, int64_t end) {
    loop.for_each_row(begin, end, [&](const Offsets& at, int64_t n) { fn(at, step, n); });
  });
}

// The loop of a map to row-major out, for a device.
StridedPlan plan_of(const char* op, const Tensor& out, std::initializer_list<Tensor> in) {
  std::vector<Shape> strides = {out.strides()};
  for (const Tensor& x : in) strides.push_back(broadcast_strides(x, out.shape(), op));
  return StridedLoop(out.shape(), strides).plan();
}

// A number of the host's goes with tensors of any device.
Tensor beside(const Tensor& x, Device device) {
  return x.rank() == 0 && x.device().is_cpu() ? x.to(device) : x;
}

Device device_of(const Tensor& a, const Tensor& b) {
  return a.rank() == 0 && a.device().is_cpu() ? b.device() : a.device();
}

// A mask of the host's is sent along, as ids are.
Tensor mask_on(const Tensor& cond, Device device) {
  return cond.device().is_cpu() ? cond.to(device) : cond;
}

}  // namespace

const char* name_of(Compare op) {
  constexpr const char* kNames[] = {"eq", "ne", "lt", "le", "gt", "ge"};
  return kNames[static_cast<size_t>(op)];
}

Tensor compare(Compare op, const Tensor& a, const Tensor& b) {
  HEED_CHECK(a.dtype() == b.dtype(), "{}: {} beside {}", name_of(op), a, b);
  const Device device = device_of(a, b);
  const Tensor out =
      Tensor::empty(broadcast_shapes(a.shape(), b.shape(), name_of(op)), DType::boolean, device);
  if (device.is_cuda()) {
    const Tensor x = beside(a, device), y = beside(b, device);
    compare_cuda({name_of(op), x, y}, {op, a.dtype(), plan_of(name_of(op), out, {x, y}), x.raw(),
                                       y.raw(), 0.0, out.data<bool>()});
    return out;
  }
  dispatch_any(a.dtype(), [&](auto type) {
    using T = decltype(type);
    const T *x = a.data<T>(), *y = b.data<T>();
    bool* z = out.data<bool>();
    for_rows(name_of(op), out, {a, b}, [&](const Offsets& at, const Offsets& step, int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        z[at[0] + i] = holds(op, static_cast<Compared<T>>(x[at[1] + i * step[1]]),
                             static_cast<Compared<T>>(y[at[2] + i * step[2]]));
      }
    });
  });
  return out;
}

Tensor compare(Compare op, const Tensor& a, double b) {
  const Tensor out = Tensor::empty(a.shape(), DType::boolean, a.device());
  if (a.device().is_cuda()) {
    compare_cuda({name_of(op), a}, {op, a.dtype(), plan_of(name_of(op), out, {a}), a.raw(), nullptr,
                                    b, out.data<bool>()});
    return out;
  }
  dispatch_any(a.dtype(), [&](auto type) {
    using T = decltype(type);
    using V = ComparedWithNumber<T>;
    const T* x = a.data<T>();
    bool* z = out.data<bool>();
    const V number = static_cast<V>(b);
    for_rows(name_of(op), out, {a}, [&](const Offsets& at, const Offsets& step, int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        z[at[0] + i] = holds(op, static_cast<V>(x[at[1] + i * step[1]]), number);
      }
    });
  });
  return out;
}

Tensor logical(Logical op, const Tensor& a, const Tensor& b) {
  constexpr const char* kNames[] = {"logical_and", "logical_or"};
  const char* name = kNames[static_cast<size_t>(op)];
  HEED_CHECK(a.dtype() == DType::boolean && b.dtype() == DType::boolean,
             "{}: needs bool operands, got {} and {}", name, a, b);
  const Tensor out =
      Tensor::empty(broadcast_shapes(a.shape(), b.shape(), name), DType::boolean, a.device());
  if (a.device().is_cuda()) {
    logical_cuda({name, a, b}, {op, plan_of(name, out, {a, b}), a.data<bool>(), b.data<bool>(),
                                out.data<bool>()});
    return out;
  }
  const bool *x = a.data<bool>(), *y = b.data<bool>();
  bool* z = out.data<bool>();
  for_rows(name, out, {a, b}, [&](const Offsets& at, const Offsets& step, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      const bool p = x[at[1] + i * step[1]], q = y[at[2] + i * step[2]];
      z[at[0] + i] = op == Logical::both ? p && q : p || q;
    }
  });
  return out;
}

Tensor select(const Tensor& cond, const Tensor& a, const Tensor& b) {
  HEED_CHECK(cond.dtype() == DType::boolean && a.dtype() == b.dtype(),
             "where: condition {}, operands {} and {}", cond, a, b);
  const Shape shape =
      broadcast_shapes(broadcast_shapes(cond.shape(), a.shape(), "where"), b.shape(), "where");
  const Device device = device_of(a, b).is_cuda() ? device_of(a, b) : cond.device();
  const Tensor out = Tensor::empty(shape, a.dtype(), device);
  if (device.is_cuda()) {
    const Tensor c = mask_on(cond, device), x = beside(a, device), y = beside(b, device);
    select_cuda({"where", c, x, y},
                {static_cast<int64_t>(size_of(a.dtype())), plan_of("where", out, {c, x, y}),
                 c.data<bool>(), x.raw(), y.raw(), out.raw()});
    return out;
  }
  const bool* c = cond.data<bool>();
  dispatch_any(a.dtype(), [&](auto type) {
    using T = decltype(type);
    const T *x = a.data<T>(), *y = b.data<T>();
    T* z = out.data<T>();
    for_rows("where", out, {cond, a, b}, [&](const Offsets& at, const Offsets& step, int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        const T yes = x[at[2] + i * step[2]], no = y[at[3] + i * step[3]];
        z[at[0] + i] = c[at[1] + i * step[1]] ? yes : no;
      }
    });
  });
  return out;
}

}  // namespace heed::kernels
