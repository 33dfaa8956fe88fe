// Images or texts to tokens that overlap (Hassani et al., Compact Transformers, arXiv 2104.05704):
// `convs` times
//   x = maxpool(relu(conv(x)))      without bias; the pool's stride 2, its padding 1
// then the map's pixels row by row. Without a pool there is no activation either: patches.
#pragma once

#include <utility>

#include "nn/layers/conv.h"

namespace heed::nn {

struct ConvTokenizerOptions {
  int64_t channels = 3;
  int64_t dim = 0;
  int64_t spatial = 2;
  int64_t kernel = 3;
  int64_t stride = 0;
  int64_t padding = -1;
  int64_t convs = 1;
  int64_t width = 64;
  int64_t pool = 3;

  void options(Options& o);
  /// The same with the paper's values filled in.
  ConvTokenizerOptions resolved() const;
  /// Extents of the map of tokens for an input's.
  Shape grid(const Shape& spatial) const;
};

struct ConvTokenizer : Module {
  /// Weights start Kaiming normal (He et al. 2015).
  explicit ConvTokenizer(const ConvTokenizerOptions& options);

  /// x [B, spatial..., channels] -> tokens [B, N, dim], N the product of the grid's extents.
  Tensor forward(const Tensor& x);
  /// Of a sequence of `size`: the tokens first <= t < last that see any of its items begin <= i <
  /// end; first = last when there are none.
  std::pair<int64_t, int64_t> seeing(int64_t begin, int64_t end, int64_t size) const;
  /// Forward floating-point operations on an input of those extents (a multiply-add counts as two).
  double flops(const Shape& spatial) const;

  const ConvTokenizerOptions& options() const { return options_; }

  ModuleList<Conv> convs;

 private:
  ConvTokenizerOptions options_;  // resolved
};

}  // namespace heed::nn
