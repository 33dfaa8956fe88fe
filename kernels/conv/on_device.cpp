// A filter for each channel has kernels of its own; the others are products, a chunk of the images
// at a time: with the patches P [G, images windows, taps C / G] of x and the weight W [G, Cout / G,
// taps C / G],
//
//   y = P W^T      dP = dy W      dW = dy^T P
//
// Chunks are as large as kPatchBytes allow. A kernel of one tap without strides or padding has x
// itself for its patches.
#include "kernels/conv/on_device.h"

#include <algorithm>

#include "core/op_call.h"
#include "core/views.h"
#include "kernels/conv/device_conv.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/binary.h"
#include "kernels/matmul/matmul.h"

namespace heed::kernels {

DeviceKernel<void(const ConvPatches&)> gather_patches_cuda, sum_patches_cuda;
DeviceKernel<void(const DepthwiseConv&)> depthwise_cuda, depthwise_input_gradient_cuda,
    depthwise_weight_gradient_cuda;

namespace {

constexpr int64_t kPatchBytes = int64_t{256} << 20;

WindowGrid grid_of(const ConvPlan& p) {
  WindowGrid grid;
  for (size_t d = 0; d < 3; ++d) {
    grid.axis[d] = {p.in[d], p.out[d], p.kernel[d], p.stride[d], p.padding[d], p.dilation[d]};
  }
  return grid;
}

DepthwiseConv depthwise_of(const ConvPlan& p, DType dtype) {
  return {.dtype = dtype, .batch = p.batch, .channels = p.in_channels, .grid = grid_of(p)};
}

DType sums_of(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

// The images of a chunk and their patches.
class Chunks {
 public:
  Chunks(const ConvPlan& p, DType dtype) : p_(p), dtype_(dtype), grid_(grid_of(p)) {
    const int64_t bytes =
        p.out_pixels() * p.taps() * p.in_channels * static_cast<int64_t>(size_of(dtype));
    images_ = std::clamp<int64_t>(kPatchBytes / std::max<int64_t>(bytes, 1), 1,
                                  std::max<int64_t>(p.batch, 1));
  }

  /// fn(first, count).
  template <class Fn>
  void for_each(const Fn& fn) const {
    for (int64_t first = 0; first < p_.batch; first += images_) {
      fn(first, std::min(images_, p_.batch - first));
    }
  }

  Tensor patches_of(const Tensor& x) const {
    if (is_pixelwise()) return views::reshape(x, shape(x.size(0)));
    const Tensor patches = Tensor::empty(shape(x.size(0)), dtype_, x.device());
    gather_patches_cuda({"conv", x, patches}, call(x, patches));
    return patches;
  }

  /// dx = the patches, where they came from; dy and weight as products have them.
  void put(const Tensor& dy, const Tensor& weight, const Tensor& dx) const {
    if (is_pixelwise()) return gemm(dy, weight, views::reshape(dx, shape(dx.size(0))));
    const Tensor patches = Tensor::empty(shape(dx.size(0)), dtype_, dx.device());
    gemm(dy, weight, patches);
    sum_patches_cuda({"conv input gradient", patches, dx}, call(dx, patches));
  }

  /// y [images, ..., Cout] as [G, images windows, Cout / G].
  Tensor rows(const Tensor& y) const {
    return views::permute(
        views::reshape(y, {y.size(0) * p_.out_pixels(), p_.groups, p_.out_channels / p_.groups}),
        {1, 0, 2});
  }
  /// [G, Cout / G, taps C / G].
  Tensor filters(const Tensor& weight) const {
    return views::reshape(weight, {p_.groups, p_.out_channels / p_.groups, depth()});
  }

 private:
  int64_t depth() const { return p_.taps() * p_.in_channels / p_.groups; }
  Shape shape(int64_t images) const { return {p_.groups, images * p_.out_pixels(), depth()}; }
  bool is_pixelwise() const {
    return p_.groups == 1 && p_.taps() == 1 && p_.in == p_.out &&
           p_.stride == ConvPlan::Three{1, 1, 1};
  }
  ConvPatches call(const Tensor& x, const Tensor& patches) const {
    return {dtype_, x.size(0), p_.in_channels, p_.groups, grid_, x.raw(), patches.raw()};
  }

  const ConvPlan& p_;
  DType dtype_;
  WindowGrid grid_;
  int64_t images_;
};

}  // namespace

void conv_on_device(const ConvPlan& p, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    const Tensor& y) {
  const Tensor filter = contiguous_as(weight, x.dtype());
  const Tensor wide = bias.defined() ? contiguous_as(bias, sums_of(x.dtype())) : Tensor();
  if (p.depthwise()) {
    DepthwiseConv d = depthwise_of(p, x.dtype());
    d.x = x.raw();
    d.weight = filter.raw();
    d.bias = wide.defined() ? wide.raw() : nullptr;
    d.y = y.raw();
    return depthwise_cuda({"conv", x, filter, wide, y}, d);
  }
  const Chunks chunks(p, x.dtype());
  chunks.for_each([&](int64_t first, int64_t count) {
    const Tensor part = views::slice(y, 0, first, first + count);
    const Tensor patches = chunks.patches_of(views::slice(x, 0, first, first + count));
    GemmOptions options;
    if (p.groups == 1) options.bias = wide;
    gemm(patches, views::transpose(chunks.filters(filter), 1, 2), chunks.rows(part), options);
  });
  if (wide.defined() && p.groups > 1) {
    add_into(y, contiguous_as(bias, y.dtype()), y);
  }
}

void conv_input_gradient_on_device(const ConvPlan& p, const Tensor& dy, const Tensor& weight,
                                   const Tensor& dx) {
  const Tensor filter = contiguous_as(weight, dy.dtype());
  if (p.depthwise()) {
    DepthwiseConv d = depthwise_of(p, dy.dtype());
    d.dy = dy.raw();
    d.weight = filter.raw();
    d.dx = dx.raw();
    return depthwise_input_gradient_cuda({"conv input gradient", dy, filter, dx}, d);
  }
  const Chunks chunks(p, dy.dtype());
  chunks.for_each([&](int64_t first, int64_t count) {
    chunks.put(chunks.rows(views::slice(dy, 0, first, first + count)), chunks.filters(filter),
               views::slice(dx, 0, first, first + count));
  });
}

void conv_weight_gradient_on_device(const ConvPlan& p, const Tensor& dy, const Tensor& x,
                                    const Tensor& dw) {
  if (p.depthwise()) {
    DepthwiseConv d = depthwise_of(p, x.dtype());
    d.dy = dy.raw();
    d.x = x.raw();
    d.dw = dw.raw();
    return depthwise_weight_gradient_cuda({"conv weight gradient", dy, x, dw}, d);
  }
  const Chunks chunks(p, x.dtype());
  chunks.for_each([&](int64_t first, int64_t count) {
    const Tensor patches = chunks.patches_of(views::slice(x, 0, first, first + count));
    const Tensor rows = chunks.rows(views::slice(dy, 0, first, first + count));
    gemm(views::transpose(rows, 1, 2), patches, chunks.filters(dw),
         {.accumulate = first > 0, .bias = {}, .activation = Activation::none, .activated = {}});
  });
}

}  // namespace heed::kernels
