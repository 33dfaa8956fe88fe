// A recurrent text classifier: embedding, GRU or LSTM layers, and a linear layer on the last states
// or on their mean.
#pragma once

#include <memory>
#include <string>

#include "core/options.h"
#include "nn/layers/embedding.h"
#include "nn/layers/linear.h"
#include "nn/layers/recurrent.h"
#include "nn/models/classifier.h"

namespace heed::nn {

struct GruClassifierOptions {
  int64_t vocab = 0;
  int64_t context = 256;
  int64_t classes = 0;
  int64_t dim = 128;
  int64_t hidden = 128;
  int64_t layers = 1;
  bool bidirectional = true;
  std::string cell = "gru";
  std::string pool = "last";
  double dropout = 0.2;

  void options(Options& o);
};

GruClassifierOptions read_gru_classifier_options(const Config& config);

class GruClassifier : public Classifier {
 public:
  explicit GruClassifier(const GruClassifierOptions& options);

  ClassifierInput input() const override;
  int64_t classes() const override { return options_.classes; }
  Config config() const override;
  using Classifier::forward;
  Tensor forward(const Tensor& ids, const Tensor& lengths) override;
  double flops() const override;

  Embedding embed;
  Dropout embed_dropout, head_dropout;
  Recurrent rnn;
  Linear head;

 private:
  GruClassifierOptions options_;
};

}  // namespace heed::nn
