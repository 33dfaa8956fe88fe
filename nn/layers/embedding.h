// Token embedding: a learned row for each id.
#pragma once

#include "autograd/ops/index.h"
#include "core/options.h"
#include "nn/module.h"
#include "nn/tensor_split.h"

namespace heed::nn {

struct EmbeddingOptions {
  int64_t vocab = 0;
  int64_t dim = 0;

  void options(Options& o);
};

struct Embedding : Module {
  /// Rows start standard normal unless `weight_init` says otherwise.
  Embedding(int64_t vocab, int64_t dim, Init weight_init = {});
  explicit Embedding(const EmbeddingOptions& options) : Embedding(options.vocab, options.dim) {}

  /// ids [...] (i64 or i32) -> [..., dim] in the module's compute dtype. An id outside [0, vocab)
  /// is an error.
  Tensor forward(const Tensor& ids);
  Tensor operator()(const Tensor& ids) { return forward(ids); }

  /// Keeps this rank's part of the rows. Ids of other ranks' rows are zeros here, and the result is
  /// the sum over the ranks.
  void split_rows(const TensorSplitPointer& split);
  /// Who shares the rows; null: nobody.
  const TensorSplit* split() const { return split_.get(); }

  Tensor weight;  // [vocab, dim]

 private:
  Tensor own_rows(const Tensor& ids) const;

  TensorSplitPointer split_;
  int64_t vocab_;
};

}  // namespace heed::nn
