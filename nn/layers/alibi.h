// Attention with linear biases (Press et al., arXiv 2108.12409): head h adds -slope_h * (i - j) to
// the score of query i and key j.
#pragma once

#include <vector>

#include "core/options.h"
#include "nn/module.h"

namespace heed::nn {

/// The paper's slopes: for n heads, n a power of two, 2^(-8/n), 2^(-16/n), ...; for other n those
/// of the power of two below, then every other one of twice that power.
std::vector<float> alibi_slopes(int64_t heads);

struct AlibiOptions {
  int64_t heads = 0;

  void options(Options& o);
};

/// The bias added to materialised scores; fused attention takes the slopes instead.
struct Alibi : Module {
  explicit Alibi(const AlibiOptions& options);

  /// scores [B, H, N, M], the N queries being the last of the M positions -> scores + bias.
  Tensor forward(const Tensor& scores);

  std::vector<float> slopes;
};

}  // namespace heed::nn
