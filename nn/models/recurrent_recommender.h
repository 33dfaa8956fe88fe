// GRU4Rec (Hidasi et al., arXiv 1511.06939) as a baseline among recommenders: a GRU reads a row's
// items, and a score is a product of its state with the item's own embedding.
//   h = W GRU(dropout(E[items]));   score of item j after place t = h_t . E_j
// The original has a table of its own for the scores, and ranks by losses of pairs; here both are
// as in the other models.
#pragma once

#include "core/options.h"
#include "nn/layers/dropout.h"
#include "nn/layers/linear.h"
#include "nn/layers/recurrent.h"
#include "nn/models/recommender.h"

namespace heed::nn {

struct RecurrentRecommenderOptions {
  int64_t items = 0;
  int64_t context = 50;
  int64_t layers = 1;
  int64_t dim = 64;
  int64_t hidden = 64;
  double dropout = 0.5;
  double init_std = 0.1;

  void options(Options& o);
};

class RecurrentRecommender : public Recommender {
 public:
  explicit RecurrentRecommender(const RecurrentRecommenderOptions& options);

  Config config() const override;
  Tensor features(const Tensor& items) override;
  double flops() const override;

  Dropout dropout;
  Gru gru;
  Linear out;

 private:
  RecurrentRecommenderOptions options_;
};

}  // namespace heed::nn
