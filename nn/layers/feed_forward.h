// The position-wise sub-block of a transformer: what a model asks of it, whichever it is.
#pragma once

#include <memory>
#include <string>

#include "nn/module.h"
#include "nn/tensor_split.h"

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
  /// As a region of a model, whose tokens ranks may share outside of it.
  Tensor operator()(const Tensor& x) { return forward(region_ ? region_->enter(x) : x); }
  /// Keeps this rank's part of the hidden features; the result is the sum over the ranks. A
  /// RequestError where the layer cannot.
  virtual void split_hidden(const TensorSplitPointer& split);

 protected:
  TensorSplitPointer region_;  ///< who shares the hidden features
};

/// `kind` is "swiglu", "geglu" (with gelu's tanh form) or an activation of Mlp; `hidden` 0 takes
/// the kind's default.
std::unique_ptr<FeedForward> make_feed_forward(const std::string& kind, int64_t dim, int64_t hidden,
                                               bool bias, double dropout,
                                               const BlockInit& init = {});

}  // namespace heed::nn
