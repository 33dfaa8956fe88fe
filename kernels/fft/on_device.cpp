// The library transforms the last dimensions of dense tensors, up to three at once. So transformed
// dimensions are brought to the end, which is a copy where they are not there already, and back.
#include "kernels/fft/on_device.h"

#include <algorithm>
#include <numeric>

#include "core/op_call.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/binary.h"
#include "kernels/fft/device_fft.h"

namespace heed::kernels {

DeviceKernel<void(const DeviceFft&)> fft_cuda;

namespace {

using Axes = std::vector<int>;

// All of `rank` dimensions, those of `axes` last; then the trailing pair of complex numbers.
Axes brought_to_end(int rank, const Axes& axes, bool pair) {
  Axes order;
  for (int d = 0; d < rank; ++d) {
    if (std::find(axes.begin(), axes.end(), d) == axes.end()) order.push_back(d);
  }
  order.insert(order.end(), axes.begin(), axes.end());
  if (pair) order.push_back(rank);
  return order;
}

Axes inverse_of(const Axes& order) {
  Axes back(order.size());
  for (size_t i = 0; i < order.size(); ++i)
    back[static_cast<size_t>(order[i])] = static_cast<int>(i);
  return back;
}

void run(DeviceFftKind kind, const Tensor& in, const Tensor& out, const Shape& extents) {
  DeviceFft f{};
  f.dtype = in.dtype();
  f.kind = kind;
  f.rank = extents.rank();
  const bool real_out = kind == DeviceFftKind::real_inverse;
  f.batch = real_out ? out.numel() : in.numel() / (kind == DeviceFftKind::real ? 1 : 2);
  for (int i = 0; i < f.rank; ++i) {
    f.n[i] = extents[i];
    f.batch /= extents[i];
  }
  f.in = in.raw();
  f.out = out.raw();
  if (f.batch > 0) fft_cuda({"fft", in, out}, f);
}

Tensor scaled(const Tensor& x, double scale) {
  return scale == 1.0 ? x : binary(Binary::mul, x, scale);
}

Axes last_of(const Axes& axes) {
  const auto most = std::min<std::ptrdiff_t>(DeviceFft::kMaxRank, std::ssize(axes));
  return {axes.end() - most, axes.end()};
}
Axes all_but_last_of(const Axes& axes) {
  return {axes.begin(), axes.end() - std::ssize(last_of(axes))};
}

Shape extents_of(const Tensor& x, const Axes& axes) {
  Shape extents;
  for (const int axis : axes) extents.push_back(x.size(axis));
  return extents;
}

Tensor complex_axes(Tensor x, Axes axes, bool inverse) {
  const int rank = x.rank() - 1;
  for (; !axes.empty(); axes = all_but_last_of(axes)) {
    const Axes now = last_of(axes), order = brought_to_end(rank, now, true);
    const Tensor in = contiguous(views::permute(x, order));
    const Tensor out = Tensor::empty(in.shape(), x.dtype(), x.device());
    run(inverse ? DeviceFftKind::inverse : DeviceFftKind::forward, in, out, extents_of(x, now));
    x = contiguous(views::permute(out, inverse_of(order)));
  }
  return x;
}

}  // namespace

Tensor fft_on_device(const Tensor& x, const Axes& axes, bool inverse, double scale) {
  return scaled(complex_axes(x, axes, inverse), scale);
}

Tensor real_fft_on_device(const Tensor& x, const Axes& axes, double scale) {
  const Axes now = last_of(axes), order = brought_to_end(x.rank(), now, false);
  const Tensor in = contiguous(views::permute(x, order));
  Shape shape = in.shape();
  shape[in.rank() - 1] = in.size(-1) / 2 + 1;
  shape.push_back(2);
  const Tensor out = Tensor::empty(shape, x.dtype(), x.device());
  run(DeviceFftKind::real, in, out, extents_of(x, now));
  Axes back = inverse_of(order);
  back.push_back(x.rank());  // the pair stays last
  const Tensor y = contiguous(views::permute(out, back));
  return scaled(complex_axes(y, all_but_last_of(axes), false), scale);
}

Tensor real_fft_inverse_on_device(const Tensor& x, const Axes& axes, int64_t n, double scale) {
  const Tensor y = complex_axes(x, {axes.begin(), axes.end() - 1}, true);
  const Axes order = brought_to_end(x.rank() - 1, {axes.back()}, true);
  const Tensor turned = views::permute(y, order);
  const Tensor in = Tensor::empty(turned.shape(), x.dtype(), x.device());  // it is overwritten
  copy(turned, in);
  // What should be real is taken as such.
  const Tensor imaginary = views::select(in, -1, 1);
  fill(views::select(imaginary, -1, 0), 0);
  if (n % 2 == 0) fill(views::select(imaginary, -1, n / 2), 0);
  Shape shape;
  for (int d = 0; d + 1 < in.rank(); ++d) shape.push_back(in.size(d));
  shape[shape.rank() - 1] = n;
  const Tensor out = Tensor::empty(shape, x.dtype(), x.device());
  run(DeviceFftKind::real_inverse, in, out, {n});
  Axes back = inverse_of(order);
  back.pop_back();
  return scaled(contiguous(views::permute(out, back)), scale);
}

}  // namespace heed::kernels
