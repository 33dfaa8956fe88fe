#include "nn/layers/lora.h"

#include "autograd/ops/elementwise.h"
#include "kernels/copy/copy.h"

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
    : base(o.in, o.out, o.bias), update(o.in, o.out, {o.rank, o.alpha, o.dropout}) {
  children({{"base", base}, {"down", update.down}, {"up", update.up}, {"dropout", update.dropout}});
  base.freeze();
}

Tensor Lora::forward(const Tensor& x) {
  const Tensor y = base(x);
  return merged() ? y : add(y, update.forward(x));
}

void Lora::merge() {
  HEED_CHECK(!merged(), "lora: the update is merged already");
  const NoGrad no_grad;
  const Tensor sum = add(base.weight, update.matrix());
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
