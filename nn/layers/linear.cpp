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
  const bool updated = lora && !merged_;
  if (!updated && !rows_) return linear(x, weight, bias, activation);
  Tensor y = linear(x, weight, rows_ && rows_->part() > 0 ? Tensor() : bias);
  if (updated) y = add(y, lora->forward(x));
  return activate(rows_ ? rows_->leave(y) : y, activation);
}

void Linear::split_columns(const TensorSplitPointer& split, std::vector<int64_t> groups) {
  HEED_CHECK(!columns_ && !rows_, "linear: it is split already");
  if (groups.empty()) groups = {weight.size(0)};
  const Shard shard = split->shard(0, std::move(groups));
  keep_shard(weight, shard);
  if (bias.defined()) keep_shard(bias, shard);
  if (lora) lora->up.split_columns(split, shard.groups);
  columns_ = split;
}

void Linear::split_rows(const TensorSplitPointer& split) {
  keep_inputs(*split);
  rows_ = split;
}

void Linear::keep_inputs(const TensorSplit& split) {
  HEED_CHECK(!columns_ && !rows_, "linear: it is split already");
  const int64_t inputs = weight.size(1);
  keep_shard(weight, split.shard(1, {inputs}));
  if (!lora) return;
  lora->down.keep_inputs(split);
  lora->dropout.first_column = split.first(inputs);
  lora->dropout.columns = inputs;
}

void Linear::adapt(const LowRankOptions& options) {
  HEED_CHECK(!lora, "linear: it has a low-rank update already");
  HEED_CHECK(!columns_ && !rows_, "linear: updates come before ranks share the weight");
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
