// Learned absolute positions: y = x + weight[position].
#pragma once

#include "core/options.h"
#include "nn/module.h"

namespace heed::nn {

/// first, first + 1, ..., first + count - 1 as i64 [count].
Tensor position_ids(int64_t first, int64_t count);

struct LearnedPositionOptions {
  int64_t context = 0;
  int64_t dim = 0;

  void options(Options& o);
};

struct LearnedPosition : Module {
  explicit LearnedPosition(const LearnedPositionOptions& options, Init weight_init = {});

  /// x [B, N, C], positions [N] or [B, N] (0 to N-1 when undefined) -> [B, N, C]. A position beyond
  /// the table is an error.
  Tensor forward(const Tensor& x, const Tensor& positions);
  Tensor forward(const Tensor& x) { return forward(x, {}); }

  Tensor weight;  // [context, dim]
};

}  // namespace heed::nn
