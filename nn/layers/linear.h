// Linear layer: y = x weight^T + bias.
#pragma once

#include "autograd/ops/matmul.h"
#include "core/options.h"
#include "nn/module.h"

namespace heed::nn {

struct LinearOptions {
  int64_t in = 0;
  int64_t out = 0;
  bool bias = true;

  void options(Options& o);
};

struct Linear : Module {
  /// `weight_init` fills the weight, and the bias then starts at 0; without it both are uniform in
  /// +-1/sqrt(in), as in PyTorch.
  Linear(int64_t in, int64_t out, bool with_bias = true, Init weight_init = {});
  explicit Linear(const LinearOptions& options) : Linear(options.in, options.out, options.bias) {}

  /// x [..., in] -> activation(x weight^T + bias) [..., out].
  Tensor forward(const Tensor& x, Activation activation = Activation::none) {
    return linear(x, weight, bias, activation);
  }
  Tensor operator()(const Tensor& x) { return forward(x); }

  Tensor weight;  // [out, in]
  Tensor bias;    // [out], or undefined
};

}  // namespace heed::nn
