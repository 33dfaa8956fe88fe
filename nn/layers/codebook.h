// A codebook: each vector becomes the nearest of K learned ones (vector quantisation; van den Oord
// et al., "Neural Discrete Representation Learning", arXiv 1711.00937, eq. 2 and 3). The codes are
// running means of their vectors (online_kmeans.h), made of the first batch by k-means where asked
// for, and begin anew where they are no longer used.
//   y = x + stop_gradient(code(x) - x)        loss += commitment * mean (x -
//   stop_gradient(code(x)))^2
#pragma once

#include <utility>

#include "core/options.h"
#include "nn/extra_losses.h"
#include "nn/layers/online_kmeans.h"

namespace heed::nn {

struct CodebookOptions {
  int64_t dim = 0;
  int64_t codes = 0;
  double decay = 0.99;
  double restart_below = 0.1;
  int64_t lloyd = 10;
  double commitment = 0.25;

  void options(Options& o);
};

struct Codebook : Module, AddsLosses {
  explicit Codebook(const CodebookOptions& options);

  /// x [..., dim] -> the codes that stand for its vectors, [..., dim], with x's gradient, and their
  /// numbers, i64 [...]. In training the codes then move, but not when a checkpointed block runs
  /// again; in a training pass before the first they are made of x (`lloyd`).
  std::pair<Tensor, Tensor> quantise(const Tensor& x);
  Tensor forward(const Tensor& x) { return quantise(x).first; }
  /// Of numbers i64 [...]: [..., dim], without a gradient.
  Tensor decode(const Tensor& numbers) const;

  bool adds_losses() const override { return options_.commitment > 0.0; }

  OnlineKMeans kmeans;

 private:
  CodebookOptions options_;
};

}  // namespace heed::nn
