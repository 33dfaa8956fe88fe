#include "nn/layers/embedding.h"

#include "autograd/ops/elementwise.h"
#include "nn/init.h"

namespace heed::nn {

void EmbeddingOptions::options(Options& o) {
  o.field("vocab", vocab, "number of ids", {.min = 1, .required = true});
  o.field("dim", dim, "features of a row", {.min = 1, .required = true});
}

Embedding::Embedding(int64_t vocab, int64_t dim, Init weight_init) : vocab_(vocab) {
  HEED_CHECK(vocab > 0 && dim > 0, "embedding: needs positive sizes, got {} rows of {}", vocab,
             dim);
  weight = Tensor::empty({vocab, dim});
  parameters({{"weight", weight, weight_init ? std::move(weight_init) : init::normal(1.0)}});
}

Tensor Embedding::forward(const Tensor& ids) {
  return split_ ? split_->leave(own_rows(ids)) : embedding(weight, ids, compute_dtype());
}

Tensor Embedding::own_rows(const Tensor& ids) const {
  std::vector<int64_t> rows = ids.to_vector<int64_t>();
  std::vector<float> own(rows.size());
  const int64_t first = split_->first(vocab_);
  for (size_t i = 0; i < rows.size(); ++i) {
    HEED_CHECK(rows[i] >= 0 && rows[i] < vocab_, "embedding: id {} is outside [0, {})", rows[i],
               vocab_);
    rows[i] -= first;
    own[i] = rows[i] >= 0 && rows[i] < weight.size(0) ? 1.0f : 0.0f;
    if (own[i] == 0.0f) rows[i] = 0;
  }
  Shape wide = ids.shape();
  wide.push_back(1);
  const Tensor found = embedding(weight, Tensor::from(rows, ids.shape()), compute_dtype());
  return mul(found, cast(Tensor::from(own, wide), compute_dtype()).to(found.device()));
}

void Embedding::split_rows(const TensorSplitPointer& split) {
  HEED_CHECK(!split_, "embedding: it is split already");
  keep_shard(weight, split->shard(0, {vocab_}));
  split_ = split;
}

}  // namespace heed::nn
