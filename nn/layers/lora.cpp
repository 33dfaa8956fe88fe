#include "nn/layers/lora.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "kernels/copy/copy.h"
#include "nn/init.h"

namespace heed::nn {

void LoraOptions::options(Options& o) {
  o.field("in", in, "features of the input", {.min = 1, .required = true});
  o.field("out", out, "features of the output", {.min = 1, .required = true});
  o.field("bias", bias, "the base has a (frozen) bias");
  o.field("rank", rank, "rank of the update", {.min = 1});
  o.field("alpha", alpha, "the update is scaled by alpha / rank", {.above = 0});
  o.field("dropout", dropout, "dropout of the update's input", {.min = 0, .below = 1});
}

Lora::Lora(const LoraOptions& o)
    : base(o.in, o.out, o.bias),
      down(o.in, o.rank, false),
      up(o.rank, o.out, false, init::zeros()),
      dropout(o.dropout),
      scale_(o.alpha / static_cast<double>(o.rank)) {
  children({{"base", base}, {"down", down}, {"up", up}, {"dropout", dropout}});
  base.freeze();
}

Tensor Lora::forward(const Tensor& x) {
  const Tensor y = base(x);
  return merged() ? y : add(y, mul(up(down(dropout(x))), scale_));
}

void Lora::merge() {
  HEED_CHECK(!merged(), "lora: the update is merged already");
  const NoGrad no_grad;
  const Tensor update = mul(matmul(up.weight, down.weight), scale_);
  const Tensor sum = add(base.weight, update);
  original_ = Tensor::empty(base.weight.shape(), base.weight.dtype());
  kernels::copy(base.weight.detach(), original_);
  kernels::copy(sum, base.weight);
}

void Lora::unmerge() {
  HEED_CHECK(merged(), "lora: nothing is merged");
  kernels::copy(original_, base.weight);
  original_ = {};
}

}  // namespace heed::nn
