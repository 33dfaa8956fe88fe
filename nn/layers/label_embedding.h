// The class that a generative model is asked for, as features. For classifier-free guidance (Ho &
// Salimans, arXiv 2207.12598) labels are dropped in training, and a row of its own stands for
// "none".
#pragma once

#include "core/options.h"
#include "nn/module.h"

namespace heed::nn {

struct LabelEmbeddingOptions {
  int64_t classes = 0;
  int64_t dim = 0;
  double dropout = 0.1;

  void options(Options& o);
};

struct LabelEmbedding : Module {
  explicit LabelEmbedding(const LabelEmbeddingOptions& options);

  /// labels [B] (i64 or i32) in [0, classes], `classes` standing for none -> [B, dim]. In training
  /// each is dropped with probability `dropout`, by (run's seed, step, module's path, row). A
  /// module that drops none has no row for it.
  Tensor forward(const Tensor& labels);
  Tensor operator()(const Tensor& labels) { return forward(labels); }

  bool has_none() const { return dropout > 0.0; }
  /// [batch] labels of no class. Throws unless has_none().
  Tensor none(int64_t batch) const;

  Tensor weight;  // [classes (+ 1), dim]
  int64_t classes;
  double dropout;
};

}  // namespace heed::nn
