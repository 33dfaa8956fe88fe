#include "nn/layers/label_embedding.h"

#include "autograd/ops/index.h"
#include "nn/init.h"

namespace heed::nn {

void LabelEmbeddingOptions::options(Options& o) {
  o.field("classes", classes, "number of classes", {.min = 1, .required = true});
  o.field("dim", dim, "features", {.min = 1, .required = true});
  o.field("dropout", dropout, "probability that training hides a label; 0: there is no 'none'",
          {.min = 0, .below = 1});
}

LabelEmbedding::LabelEmbedding(const LabelEmbeddingOptions& o)
    : classes(o.classes), dropout(o.dropout) {
  HEED_CHECK(classes > 0 && o.dim > 0, "label_embedding: needs positive sizes, got {} rows of {}",
             classes, o.dim);
  weight = Tensor::empty({classes + (has_none() ? 1 : 0), o.dim});
  parameters({{"weight", weight, init::normal(0.02)}});
}

Tensor LabelEmbedding::forward(const Tensor& labels) {
  HEED_CHECK(labels.rank() == 1, "label_embedding: wants labels [B], got {}", labels);
  if (!training() || !has_none()) return embedding(weight, labels, compute_dtype());
  const RandomStream draws(current_key(purpose()));
  std::vector<int64_t> kept = labels.to_vector<int64_t>();
  const uint64_t first = first_draw(labels.numel());
  for (size_t row = 0; row < kept.size(); ++row) {
    if (static_cast<double>(draws.uniform(first + row)) < dropout) kept[row] = classes;
  }
  return embedding(weight, Tensor::from(kept, labels.shape()), compute_dtype());
}

Tensor LabelEmbedding::none(int64_t batch) const {
  HEED_CHECK(has_none(), "label_embedding: no row stands for 'none' (its dropout is 0)");
  return Tensor::from(std::vector<int64_t>(static_cast<size_t>(batch), classes), {batch});
}

}  // namespace heed::nn
