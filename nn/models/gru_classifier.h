// A recurrent text classifier: embedding, GRU or LSTM layers, a pooling of their states (the
// `pool:` slot), and one or two linear layers.
#pragma once

#include <memory>
#include <string>

#include "core/options.h"
#include "nn/layers/embedding.h"
#include "nn/layers/linear.h"
#include "nn/layers/recurrent.h"
#include "nn/models/classifier.h"
#include "nn/pooling/pooling.h"

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
  Config pool = Config(Config::Map{{"type", "last"}});
  int64_t head_hidden = 0;
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
  bool weighs_tokens() const override { return pool->heads() > 0; }
  Tensor token_weights(const Tensor& ids, const Tensor& lengths) override;
  double flops() const override;

  Embedding embed;
  Dropout embed_dropout, head_dropout;
  Recurrent rnn;
  std::unique_ptr<Pooling> pool;
  std::unique_ptr<Linear> hidden;  // or null
  Linear head;

 private:
  Tensor states(const Tensor& ids, const Tensor& lengths);

  GruClassifierOptions options_;
};

}  // namespace heed::nn
