#include "autograd/ops/conv.h"

#include "autograd/trace.h"
#include "core/views.h"
#include "kernels/elementwise/accumulate.h"
#include "kernels/matmul/matmul.h"

namespace heed {
namespace {

Shape one_each(const Shape& values, int spatial, const char* what) {
  HEED_CHECK(values.rank() == 1 || values.rank() == spatial,
             "conv: {} {} for {} spatial dimensions", what, values, spatial);
  Shape out;
  for (int i = 0; i < spatial; ++i) out.push_back(values[values.rank() == 1 ? 0 : i]);
  return out;
}

kernels::ConvGeometry geometry(const ConvOptions& o, const Tensor& x, const Tensor& weight) {
  HEED_CHECK(
      x.rank() >= 3 && x.rank() <= 5 && weight.rank() == x.rank(),
      "conv: x {} with weight {}; need [B, 1 to 3 spatial, C] and [Cout, kernel, C / groups]", x,
      weight);
  const int spatial = x.rank() - 2;
  return {one_each(o.stride, spatial, "stride"), one_each(o.padding, spatial, "padding"),
          one_each(o.dilation, spatial, "dilation"), o.groups};
}

Tensor bias_gradient(const Tensor& dy, DType dtype) {
  const Tensor dense = kernels::contiguous_as(dy, dy.dtype());
  const Tensor rows =
      views::reshape(dense, {dense.numel() / std::max<int64_t>(dense.size(-1), 1), dense.size(-1)});
  return kernels::contiguous_as(
      kernels::activation_backward(Activation::none, rows, {}, true).dbias, dtype);
}

Tensor add_bias(const Tensor& y, const Tensor& bias) {
  if (!bias.defined()) return y;
  const Tensor wide = kernels::contiguous_as(bias, y.dtype());
  return kernels::add_out_of_place(y, views::expand(wide, y.shape()));
}

DType dtype_or(const Tensor& x, DType fallback) { return x.defined() ? x.dtype() : fallback; }

}  // namespace

Tensor conv(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  const kernels::ConvGeometry g = geometry(options, x, weight);
  const Tensor y = kernels::conv(x, weight, bias, g);
  if (trace::on())
    trace::report("conv", {x, weight, bias}, {y},
                  {{"stride", g.stride},
                   {"padding", g.padding},
                   {"dilation", g.dilation},
                   {"groups", g.groups}});
  return record("conv", {x, weight, bias}, y,
                [x = save(x), weight = save(weight), g, bias_dtype = dtype_or(bias, x.dtype())](
                    const Tensor& dy, const Wanted& wanted) {
                  const Tensor d = kernels::contiguous_as(dy, x->dtype());
                  Gradients grads(3);
                  if (wanted[0]) grads[0] = kernels::conv_input_gradient(d, *weight, x->shape(), g);
                  if (wanted[1]) {
                    grads[1] = kernels::contiguous_as(
                        kernels::conv_weight_gradient(d, *x, weight->shape(), g), weight->dtype());
                  }
                  if (wanted[2]) grads[2] = bias_gradient(d, bias_dtype);
                  return grads;
                });
}

Tensor conv_transpose(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const ConvOptions& options) {
  const kernels::ConvGeometry g = geometry(options, x, weight);
  const Shape extra = one_each(options.output_padding, x.rank() - 2, "output_padding");
  Shape shape = x.shape();
  for (int i = 0; i < extra.rank(); ++i) {
    HEED_CHECK(extra[i] >= 0 && extra[i] < std::max(g.stride[i], g.dilation[i]),
               "conv_transpose: output_padding {} must be below stride {} or dilation {}", extra,
               g.stride, g.dilation);
    shape[1 + i] = (x.size(1 + i) - 1) * g.stride[i] - 2 * g.padding[i] +
                   g.dilation[i] * (weight.size(1 + i) - 1) + extra[i] + 1;
    HEED_CHECK(shape[1 + i] >= 1,
               "conv_transpose: x {} with weight {} and padding {} leaves nothing", x, weight,
               g.padding);
  }
  shape[-1] = weight.size(-1) * g.groups;
  HEED_CHECK(!bias.defined() || bias.shape() == Shape{shape[-1]},
             "conv_transpose: bias {} for {} channels", bias, shape[-1]);
  const Tensor y = add_bias(kernels::conv_input_gradient(x, weight, shape, g), bias);
  if (trace::on())
    trace::report("conv_transpose", {x, weight, bias}, {y},
                  {{"stride", g.stride},
                   {"padding", g.padding},
                   {"dilation", g.dilation},
                   {"groups", g.groups},
                   {"extra", extra}});
  return record("conv_transpose", {x, weight, bias}, y,
                [x = save(x), weight = save(weight), g, bias_dtype = dtype_or(bias, x.dtype())](
                    const Tensor& dy, const Wanted& wanted) {
                  const Tensor d = kernels::contiguous_as(dy, x->dtype());
                  Gradients grads(3);
                  if (wanted[0]) grads[0] = kernels::conv(d, *weight, {}, g);
                  if (wanted[1]) {
                    grads[1] = kernels::contiguous_as(
                        kernels::conv_weight_gradient(*x, d, weight->shape(), g), weight->dtype());
                  }
                  if (wanted[2]) grads[2] = bias_gradient(d, bias_dtype);
                  return grads;
                });
}

}  // namespace heed
