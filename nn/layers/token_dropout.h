// Dropout of whole tokens before their embedding: in training an id is replaced by id 0 with
// probability p (tensor2tensor's symbol and target dropout). The draw of a token is a function of
// (run's seed, step, module's path, its place in the batch).
#pragma once

#include "nn/module.h"

namespace heed::nn {

struct TokenDropout : Module {
  explicit TokenDropout(double probability);

  /// ids [B, N] (i64 or i32) -> the same, some of them 0 (i64); in evaluation ids themselves.
  Tensor forward(const Tensor& ids);

  double p;
};

}  // namespace heed::nn
