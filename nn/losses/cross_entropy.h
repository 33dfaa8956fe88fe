// Cross-entropies of logits [..., V] as modules.
#pragma once

#include "nn/losses/loss.h"

namespace heed::nn {

struct CrossEntropySettings {
  int64_t ignore_index = -100;
  double smoothing = 0.0;
  std::string reduction = "mean";

  void options(Options& o);
  /// logits [..., V], targets [...] (i64 or i32) -> the mean over the counted targets.
  Tensor operator()(const Tensor& logits, const Tensor& targets) const;
};

struct WeightedCrossEntropySettings {
  int64_t ignore_index = -100;
  std::string reduction = "mean";

  void options(Options& o);
  /// As cross_entropy; class_weights [V] take no gradient, and the mean divides by their sum.
  Tensor operator()(const Tensor& logits, const Tensor& targets, const Tensor& class_weights) const;
};

struct SoftCrossEntropySettings {
  double smoothing = 0.0;
  std::string reduction = "mean";

  void options(Options& o);
  /// logits and targets [..., V], the targets probabilities without a gradient.
  Tensor operator()(const Tensor& logits, const Tensor& targets) const;
};

struct DistillationSettings {
  double temperature = 1.0;
  std::string reduction = "mean";

  void options(Options& o);
  /// logits and a teacher's [..., V]; the teacher takes no gradient.
  Tensor operator()(const Tensor& logits, const Tensor& teacher) const;
};

struct ZLossSettings {
  std::string reduction = "mean";

  void options(Options& o);
  Tensor operator()(const Tensor& logits) const;
};

using CrossEntropy = Loss<CrossEntropySettings>;
using WeightedCrossEntropy = Loss<WeightedCrossEntropySettings>;
using SoftCrossEntropy = Loss<SoftCrossEntropySettings>;
using Distillation = Loss<DistillationSettings>;
using ZLoss = Loss<ZLossSettings>;

}  // namespace heed::nn
