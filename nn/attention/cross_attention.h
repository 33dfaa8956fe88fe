// Attention of one sequence to another (Vaswani et al. 2017, section 3.2.3): queries of the
// decoder, keys and values of the encoder's states.
//   out = softmax(scale q(x) k(memory)^T) v(memory)
#pragma once

#include "core/options.h"
#include "nn/layers/feed_forward.h"
#include "nn/layers/linear.h"

namespace heed::nn {

struct CrossAttentionOptions {
  int64_t dim = 0;
  int64_t memory_dim = 0;
  int64_t heads = 1;
  int64_t head_dim = 0;
  bool bias = true;
  double scale = 0.0;
  double dropout = 0.0;

  void options(Options& o);
};

/// A memory's keys and values [B, H, M, D], the same for every query.
struct CrossMemory {
  Tensor keys, values;
};

struct CrossAttention : Module {
  explicit CrossAttention(const CrossAttentionOptions& options, const BlockInit& init = {});

  CrossMemory project(const Tensor& memory);
  /// x [B, N, dim] -> [B, N, dim]. `lengths` [B] i64 are the states of the memory that count (all,
  /// when undefined); a row without any gets zeros before the projection.
  Tensor forward(const Tensor& x, const CrossMemory& memory, const Tensor& lengths);
  /// The same, of memory [B, M, memory_dim].
  Tensor forward(const Tensor& x, const Tensor& memory, const Tensor& lengths) {
    return forward(x, project(memory), lengths);
  }
  /// Forward floating-point operations of `queries` on one memory of `keys`.
  double flops(int64_t queries, int64_t keys) const;

  Linear q, kv, out;

 private:
  int64_t heads_, head_dim_;
  double scale_, dropout_;
};

}  // namespace heed::nn
