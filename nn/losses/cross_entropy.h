// Softmax cross-entropy as a module.
#pragma once

#include "autograd/ops/loss.h"
#include "core/options.h"
#include "nn/module.h"

namespace heed::nn {

struct CrossEntropySettings {
  int64_t ignore_index = -100;
  double smoothing = 0.0;

  void options(Options& o);
};

struct CrossEntropy : Module {
  explicit CrossEntropy(const CrossEntropySettings& settings);

  /// logits [..., V], targets [...] (i64 or i32) -> the mean over the counted targets.
  Tensor forward(const Tensor& logits, const Tensor& targets);

  CrossEntropyOptions options;
};

}  // namespace heed::nn
