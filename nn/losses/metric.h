// Losses of embeddings [..., D] as modules.
#pragma once

#include "nn/losses/loss.h"

namespace heed::nn {

struct CosineEmbeddingSettings {
  double margin = 0.0;
  std::string reduction = "mean";

  void options(Options& o);
  /// x, y [..., D]; sign [...] is 1 for pairs that belong together, -1 for others.
  Tensor operator()(const Tensor& x, const Tensor& y, const Tensor& sign) const;
};

struct TripletSettings {
  double margin = 1.0;
  bool soft = false;
  std::string reduction = "mean";

  void options(Options& o);
  Tensor operator()(const Tensor& anchor, const Tensor& positive, const Tensor& negative) const;
};

struct BatchHardTripletSettings {
  double margin = 1.0;
  bool soft = false;

  void options(Options& o);
  /// x [N, D], labels [N] -> the mean over the rows that have a triplet.
  Tensor operator()(const Tensor& x, const Tensor& labels) const;
};

struct InfoNceSettings {
  double temperature = 0.07;
  bool symmetric = true;

  void options(Options& o);
  /// x, y [N, D], row i of one belonging to row i of the other -> the mean over rows.
  Tensor operator()(const Tensor& x, const Tensor& y) const;
};

struct PrototypeSettings {
  int64_t shots = 1;
  std::string distance = "euclidean";
  double scale = 1.0;

  void options(Options& o);
  /// x [E, N, S + Q, D]: episodes of N classes, S shots and Q queries of each -> the mean over
  /// queries.
  Tensor operator()(const Tensor& x) const;
};

using CosineEmbedding = Loss<CosineEmbeddingSettings>;
using Triplet = Loss<TripletSettings>;
using BatchHardTriplet = Loss<BatchHardTripletSettings>;
using InfoNce = Loss<InfoNceSettings>;
using Prototype = Loss<PrototypeSettings>;

}  // namespace heed::nn
