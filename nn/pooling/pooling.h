// The `pool:` slot: how the tokens of a sequence become the vector that is classified.
#pragma once

#include "core/options.h"
#include "nn/module.h"

namespace heed::nn {

/// The host's side of the slot.
struct PoolingHost {
  int64_t dim = 0;             ///< features of a token
  bool bidirectional = false;  ///< the second half of them was read from the end to the beginning

  void options(Options& o);
};

class Pooling : public Module {
 public:
  /// x [B, N, dim] -> [B, width()]; lengths [B] i64 or undefined: of each row's first tokens alone.
  virtual Tensor forward(const Tensor& x, const Tensor& lengths) = 0;
  Tensor operator()(const Tensor& x, const Tensor& lengths) { return forward(x, lengths); }
  virtual int64_t width() const = 0;

  /// Heads that weigh tokens; 0 where none are weighed.
  virtual int64_t heads() const { return 0; }
  /// What each head makes of each token: [B, heads, N], rows that sum to 1; undefined without
  /// heads.
  virtual Tensor weights(const Tensor& /*x*/, const Tensor& /*lengths*/) { return {}; }

  /// Forward floating-point operations on one sequence (a multiply-add counts as two).
  virtual double flops(int64_t tokens) const = 0;
};

}  // namespace heed::nn
