// Dropout (Srivastava et al. 2014): in training, elements are zeroed with probability p and the
// rest scaled by 1/(1-p). The mask is a function of (run's seed, step, module's path, element).
#pragma once

#include "core/options.h"
#include "nn/module.h"

namespace heed::nn {

struct DropoutOptions {
  double p = 0.5;

  void options(Options& o);
};

struct Dropout : Module {
  explicit Dropout(double probability);
  explicit Dropout(const DropoutOptions& options) : Dropout(options.p) {}

  /// Within one step every call draws the same mask: give each place its own Dropout.
  Tensor forward(const Tensor& x);
  Tensor operator()(const Tensor& x) { return forward(x); }

  double p;
  /// Where x's features lie in the whole, of which other ranks hold the rest; 0 columns: x is
  /// whole.
  int64_t first_column = 0, columns = 0;
};

/// Dropout of whole channels of [B, ..., C] (Tompson et al., arXiv 1411.4280): neighbouring pixels
/// say the same, so single ones would be filled in from beside them.
struct ChannelDropout : Module {
  explicit ChannelDropout(double probability);
  explicit ChannelDropout(const DropoutOptions& options) : ChannelDropout(options.p) {}

  /// One draw for each sample's channel; like Dropout, the same at every call within one step.
  Tensor forward(const Tensor& x);
  Tensor operator()(const Tensor& x) { return forward(x); }

  double p;
};

}  // namespace heed::nn
