#include "nn/layers/embedding.h"

#include "nn/init.h"

namespace heed::nn {

void EmbeddingOptions::options(Options& o) {
  o.field("vocab", vocab, "number of ids", {.min = 1, .required = true});
  o.field("dim", dim, "features of a row", {.min = 1, .required = true});
}

Embedding::Embedding(int64_t vocab, int64_t dim, Init weight_init) {
  HEED_CHECK(vocab > 0 && dim > 0, "embedding: needs positive sizes, got {} rows of {}", vocab,
             dim);
  weight = Tensor::empty({vocab, dim});
  parameters({{"weight", weight, weight_init ? std::move(weight_init) : init::normal(1.0)}});
}

}  // namespace heed::nn
