// Fixed sinusoidal positions (Vaswani et al. 2017, section 3.5): y = scale x + PE,
//   PE[pos, 2i] = sin(pos / base^(2i/C)),    PE[pos, 2i+1] = cos(pos / base^(2i/C))
#pragma once

#include "core/options.h"
#include "nn/module.h"

namespace heed::nn {

/// PE of positions 0 to count-1: [count, dim].
Tensor sinusoidal_table(int64_t count, int64_t dim, double base, DType dtype);

struct SinusoidalPositionOptions {
  int64_t dim = 0;
  double base = 10000.0;
  double scale = 1.0;

  void options(Options& o);
};

/// Options for positions beside an embedding whose values start small: scaled by sqrt(dim), since
/// beside waves of height 1 it would be lost (Vaswani et al. 2017, section 3.4).
SinusoidalPositionOptions beside_embedding(int64_t dim);

struct SinusoidalPosition : Module {
  explicit SinusoidalPosition(const SinusoidalPositionOptions& options);

  /// x [B, N, C] at positions [N] or [B, N], i64 (0 to N-1 when undefined) -> [B, N, C].
  Tensor forward(const Tensor& x, const Tensor& positions);
  Tensor forward(const Tensor& x) { return forward(x, {}); }

  int64_t dim;
  double base, scale;

 private:
  Tensor table_;  // grown to what was asked for
};

}  // namespace heed::nn
