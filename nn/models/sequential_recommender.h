// Sequential recommender: SASRec (Kang and McAuley, arXiv 1808.09781) with any causal mechanism in
// its attention slot:
//   x = dropout(sqrt(C) E[items] + P[slot]);   causal blocks, norm first;   h = norm(x)
// A row's newest item has the last slot of the context, whatever the row's length. Padding stands
// behind a row, where a causal model never looks: no mask is needed.
#pragma once

#include <memory>
#include <string>

#include "core/options.h"
#include "nn/models/recommender.h"
#include "nn/models/transformer_block.h"

namespace heed::nn {

struct SequentialRecommenderOptions {
  int64_t items = 0;
  int64_t context = 50;
  int64_t layers = 2;
  int64_t dim = 64;
  int64_t heads = 1;
  int64_t hidden = 0;
  std::string mlp = "relu";
  std::string norm = "layer_norm";
  double norm_eps = 1e-8;
  std::string position = "learned";
  double dropout = 0.2;
  double attention_dropout = 0.2;
  bool scale_embedding = true;
  bool checkpointing = false;
  double init_std = 0.01;
  Config attention = Config(Config::Map{{"type", "softmax"}});

  void options(Options& o);
};

class SequentialRecommender : public Recommender {
 public:
  explicit SequentialRecommender(const SequentialRecommenderOptions& options);

  Config config() const override;
  Tensor features(const Tensor& items) override;
  double flops() const override;
  const SequentialRecommenderOptions& options() const { return options_; }

  std::unique_ptr<Embedding> position;  // [context, C], or null
  Dropout dropout;
  BlockStack<TransformerBlock> blocks;
  std::unique_ptr<Norm> norm;

 private:
  SequentialRecommenderOptions options_;
};

}  // namespace heed::nn
