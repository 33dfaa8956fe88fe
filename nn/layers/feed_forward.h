// The position-wise sub-block of a transformer: what a model asks of it, whichever it is.
#pragma once

#include <memory>
#include <string>

#include "nn/module.h"

namespace heed::nn {

/// How the weights of a sub-block start: those that read the residual stream and those that write
/// to it. An empty one leaves the layer's own default.
struct BlockInit {
  Init in;
  Init out;
};

struct FeedForward : Module {
  /// x [..., C] -> [..., C].
  virtual Tensor forward(const Tensor& x) = 0;
  /// Forward floating-point operations a token (a multiply-add counts as two).
  virtual double flops_per_token() const = 0;
  Tensor operator()(const Tensor& x) { return forward(x); }
};

/// `kind` is "swiglu" or an activation of Mlp; `hidden` 0 takes the kind's default.
std::unique_ptr<FeedForward> make_feed_forward(const std::string& kind, int64_t dim, int64_t hidden,
                                               bool bias, double dropout,
                                               const BlockInit& init = {});

}  // namespace heed::nn
