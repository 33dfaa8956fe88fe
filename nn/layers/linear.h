// Linear layer: y = x weight^T + bias.
#pragma once

#include <memory>

#include "autograd/ops/matmul.h"
#include "core/options.h"
#include "nn/module.h"
#include "nn/tensor_split.h"

namespace heed::nn {

struct LinearOptions {
  int64_t in = 0;
  int64_t out = 0;
  bool bias = true;

  void options(Options& o);
};

struct LowRankOptions {
  int64_t rank = 8;
  double alpha = 16.0;
  double dropout = 0.0;
};
struct LowRank;

struct Linear : Module {
  /// `weight_init` fills the weight, and the bias then starts at 0; without it both are uniform in
  /// +-1/sqrt(in), as in PyTorch.
  Linear(int64_t in, int64_t out, bool with_bias = true, Init weight_init = {});
  explicit Linear(const LinearOptions& options);
  ~Linear() override;

  /// x [..., in] -> activation(x weight^T + bias) [..., out].
  Tensor forward(const Tensor& x, Activation activation = Activation::none);
  Tensor operator()(const Tensor& x) { return forward(x); }

  /// Freezes weight and bias, and trains a low-rank update of the output in their place. Once.
  void adapt(const LowRankOptions& options);
  /// The weight with its update (without dropout), recorded: for those who multiply by it
  /// themselves. It is the weight itself where there is no update.
  Tensor whole_weight() const;
  /// Adds the update to the weight for good; nothing without one. The module's tensors named "lora"
  /// then have no part in its output any more.
  void merge();

  /// Keeps this rank's part of the output features, which consist of `groups` (none: of one); the
  /// result is that part. With the low-rank update, if there is one.
  void split_columns(const TensorSplitPointer& split, std::vector<int64_t> groups = {});
  /// Keeps this rank's part of the input features: x is that part, the result the sum over the
  /// ranks. The bias, which all hold, is added by the first.
  void split_rows(const TensorSplitPointer& split);
  /// Keeps it without the sum: the result is this rank's share of it.
  void keep_inputs(const TensorSplit& split);
  /// Who shares the output features; null: nobody.
  const TensorSplit* columns() const { return columns_.get(); }

  Tensor weight;                  // [out, in]
  Tensor bias;                    // [out], or undefined
  std::unique_ptr<LowRank> lora;  // or null

 private:
  bool merged_ = false;
  TensorSplitPointer columns_, rows_;
};

}  // namespace heed::nn
