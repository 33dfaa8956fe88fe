#include "kernels/conv/conv.h"

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "kernels/conv/depthwise.h"
#include "kernels/conv/direct.h"
#include "kernels/conv/on_device.h"
#include "kernels/conv/onednn.h"
#include "kernels/elementwise/accumulate.h"

namespace heed::kernels {
namespace {

constexpr double kLeastFlops =
    8e6;  // of a chunk of images: below that, threads cost more than they give
constexpr int64_t kMostPartials = 32;        // weight gradients summed at the end,
constexpr int64_t kPartialBytes = 64 << 20;  // and the memory they may take together
constexpr int64_t kLeastPixels = 1024;       // behind each of their elements: less, and adding them
constexpr int64_t kLeastPartials = 4;        // up costs too much; unless there are so few of them

// Images of a chunk: fixed by the problem. Few enough that every core finds work.
int64_t images_per_chunk(const ConvPlan& p) {
  const double per_image = std::max(p.flops_per_image(), 1.0);
  return std::clamp<int64_t>(static_cast<int64_t>(std::ceil(kLeastFlops / per_image)), 1,
                             std::max<int64_t>(p.batch, 1));
}

ConvPlan with_batch(ConvPlan p, int64_t batch) {
  p.batch = batch;
  return p;
}

const std::byte* at(const Tensor& x, int64_t image) {
  return static_cast<const std::byte*>(x.raw()) +
         image * (x.bytes() / std::max<int64_t>(x.size(0), 1));
}
std::byte* out(const Tensor& x, int64_t image) { return const_cast<std::byte*>(at(x, image)); }

DType product_dtype(const Tensor& x, const char* op) {
  HEED_CHECK(x.dtype() == DType::f32 || x.dtype() == DType::bf16 || x.dtype() == DType::f64,
             "{}: {} has no floating dtype that it runs in (f32, bf16, f64)", op, x);
  return x.dtype();
}

DType master_dtype(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

// The weight as the whole chunks read it, and as the last, smaller one does.
class ChunkWeights {
 public:
  ChunkWeights(const ConvPlan& p, int64_t chunk, ConvPass pass, DType dtype, const Tensor& weight,
               bool bias)
      : chunk_(chunk),
        whole_(pack_weight(with_batch(p, chunk), pass, dtype, weight, bias)),
        rest_(whole_) {
    if (p.batch % chunk != 0)
      rest_ = pack_weight(with_batch(p, p.batch % chunk), pass, dtype, weight, bias);
  }
  const PackedWeight& of(int64_t images) const { return images == chunk_ ? whole_ : rest_; }

 private:
  int64_t chunk_;
  PackedWeight whole_, rest_;
};

Tensor plain(const Tensor& x) { return contiguous_as(x, x.dtype()); }

}  // namespace

Tensor conv(const Tensor& x, const Tensor& weight, const Tensor& bias,
            const ConvGeometry& geometry) {
  const ConvPlan p = plan_conv(x.shape(), weight.shape(), geometry, "conv");
  HEED_CHECK(!bias.defined() || bias.shape() == Shape{p.out_channels},
             "conv: bias {} for {} channels", bias, p.out_channels);
  const DType dtype = product_dtype(x, "conv");
  const Tensor y =
      Tensor::empty(conv_output_shape(x.shape(), weight.shape(), geometry), dtype, x.device());
  if (y.numel() == 0) return y;
  p.count();
  const Tensor images = plain(x);
  if (x.device().is_cuda()) {
    conv_on_device(p, images, weight, bias, y);
    return y;
  }
  const Tensor master_bias = bias.defined() ? contiguous_as(bias, master_dtype(dtype)) : Tensor();
  if (dtype == DType::f64) {
    conv_forward_f64(p, images.data<double>(), contiguous_as(weight, dtype).data<double>(),
                     bias.defined() ? master_bias.data<double>() : nullptr, y.data<double>());
    return y;
  }
  if (own_depthwise(p, ConvPass::forward)) {
    depthwise_forward(p, dtype, images.raw(), contiguous_as(weight, DType::f32).data<float>(),
                      bias.defined() ? master_bias.data<float>() : nullptr, out(y, 0));
    return y;
  }
  const int64_t chunk = images_per_chunk(p);
  const ChunkWeights weights(p, chunk, ConvPass::forward, dtype, weight, bias.defined());
  parallel_for(p.batch, chunk, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += chunk) {
      const int64_t count = std::min(chunk, end - first);
      conv_forward_onednn(with_batch(p, count), dtype, at(images, first), weights.of(count),
                          bias.defined() ? master_bias.data<float>() : nullptr, out(y, first));
    }
  });
  return y;
}

Tensor conv_input_gradient(const Tensor& dy, const Tensor& weight, const Shape& x,
                           const ConvGeometry& geometry) {
  const ConvPlan p = plan_conv(x, weight.shape(), geometry, "conv input gradient");
  HEED_CHECK(dy.shape() == conv_output_shape(x, weight.shape(), geometry),
             "conv input gradient: dy {} for x {} and weight {}", dy, x, weight);
  const DType dtype = product_dtype(dy, "conv input gradient");
  const Tensor dx = Tensor::empty(x, dtype, dy.device());
  if (dx.numel() == 0) return dx;
  p.count();
  const Tensor gradient = plain(dy);
  if (dy.device().is_cuda()) {
    conv_input_gradient_on_device(p, gradient, weight, dx);
    return dx;
  }
  if (dtype == DType::f64) {
    conv_input_gradient_f64(p, gradient.data<double>(), contiguous_as(weight, dtype).data<double>(),
                            dx.data<double>());
    return dx;
  }
  if (own_depthwise(p, ConvPass::input_gradient)) {
    depthwise_input_gradient(p, dtype, gradient.raw(),
                             contiguous_as(weight, DType::f32).data<float>(), out(dx, 0));
    return dx;
  }
  const int64_t chunk = images_per_chunk(p);
  const ChunkWeights weights(p, chunk, ConvPass::input_gradient, dtype, weight, false);
  parallel_for(p.batch, chunk, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += chunk) {
      const int64_t count = std::min(chunk, end - first);
      conv_input_gradient_onednn(with_batch(p, count), dtype, at(gradient, first),
                                 weights.of(count), out(dx, first));
    }
  });
  return dx;
}

Tensor conv_weight_gradient(const Tensor& dy, const Tensor& x, const Shape& weight,
                            const ConvGeometry& geometry) {
  const ConvPlan p = plan_conv(x.shape(), weight, geometry, "conv weight gradient");
  HEED_CHECK(
      dy.shape() == conv_output_shape(x.shape(), weight, geometry) && dy.dtype() == x.dtype(),
      "conv weight gradient: dy {} for x {} and weight {}", dy, x, weight);
  const DType dtype = product_dtype(x, "conv weight gradient");
  const Tensor images = plain(x), gradient = plain(dy);
  if (p.batch == 0) return Tensor::zeros(weight, master_dtype(dtype), x.device());
  p.count();
  if (x.device().is_cuda()) {
    const Tensor dw = Tensor::zeros(weight, master_dtype(dtype), x.device());
    if (gradient.numel() > 0) conv_weight_gradient_on_device(p, gradient, images, dw);
    return dw;
  }
  if (dtype == DType::f64) {
    const Tensor dw = Tensor::empty(weight, DType::f64, x.device());
    conv_weight_gradient_f64(p, gradient.data<double>(), images.data<double>(), dw.data<double>());
    return dw;
  }
  if (own_depthwise(p, ConvPass::weight_gradient)) {
    const Tensor dw = Tensor::empty(weight, DType::f32, x.device());
    depthwise_weight_gradient(p, dtype, gradient.raw(), images.raw(), dw.data<float>());
    return dw;
  }
  const int64_t size = weight.numel();
  const int64_t affordable = std::clamp<int64_t>(kPartialBytes / (size * 4), 1, kMostPartials);
  const int64_t worthwhile = std::min((kLeastPixels + p.out_pixels() - 1) / p.out_pixels(),
                                      (p.batch + kLeastPartials - 1) / kLeastPartials);
  const int64_t chunk =
      std::max({images_per_chunk(p), (p.batch + affordable - 1) / affordable, worthwhile});
  const int64_t chunks = (p.batch + chunk - 1) / chunk;
  const Tensor partials = Tensor::empty({chunks, size});
  parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const int64_t first = c * chunk, count = std::min(chunk, p.batch - first);
      conv_weight_gradient_onednn(with_batch(p, count), dtype, at(gradient, first),
                                  at(images, first), partials.data<float>() + c * size);
    }
  });
  const Tensor dw = Tensor::empty(weight, DType::f32, x.device());
  const float* parts = partials.data<float>();
  parallel_for(size, 16384, [&](int64_t begin, int64_t end) {
    std::copy(parts + begin, parts + end, dw.data<float>() + begin);
    for (int64_t c = 1; c < chunks; ++c) {
      for (int64_t i = begin; i < end; ++i) dw.data<float>()[i] += parts[c * size + i];
    }
  });
  return dw;
}

}  // namespace heed::kernels
