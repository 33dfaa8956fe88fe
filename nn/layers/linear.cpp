#include "nn/layers/linear.h"

#include "autograd/ops/elementwise.h"
#include "kernels/copy/copy.h"
#include "nn/init.h"
#include "nn/layers/activate.h"
#include "nn/layers/low_rank.h"

namespace heed::nn {

void LinearOptions::options(Options& o) {
  o.field("in", in, "features of the input", {.min = 1, .required = true});
  o.field("out", out, "features of the output", {.min = 1, .required = true});
  o.field("bias", bias, "add a learned bias");
}

Linear::Linear(int64_t in, int64_t out, bool with_bias, Init weight_init) {
  HEED_CHECK(in > 0 && out > 0, "linear: needs positive widths, got {} -> {}", in, out);
  const bool given = static_cast<bool>(weight_init);
  weight = Tensor::empty({out, in});
  parameters({{"weight", weight, given ? std::move(weight_init) : init::linear_default(in)}});
  if (with_bias) {
    bias = Tensor::empty({out});
    parameters({{"bias", bias, given ? init::zeros() : init::linear_default(in)}});
  }
}

Linear::Linear(const LinearOptions& options) : Linear(options.in, options.out, options.bias) {}

Linear::~Linear() = default;

Tensor Linear::forward(const Tensor& x, Activation activation) {
  if (!lora || merged_) return linear(x, weight, bias, activation);
  return activate(add(linear(x, weight, bias), lora->forward(x)), activation);
}

void Linear::adapt(const LowRankOptions& options) {
  HEED_CHECK(!lora, "linear: it has a low-rank update already");
  freeze();
  lora = std::make_unique<LowRank>(weight.size(1), weight.size(0), options);
  child("lora", *lora);
}

Tensor Linear::whole_weight() const {
  return !lora || merged_ ? weight : add(weight, lora->matrix());
}

void Linear::merge() {
  if (!lora || merged_) return;
  const NoGrad no_grad;
  kernels::copy(add(weight, lora->matrix()), weight);
  merged_ = true;
}

}  // namespace heed::nn
