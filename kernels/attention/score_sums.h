// Gradients of a score's tensors on their way: what tasks add up by themselves, in memory of their
// own, and how it is summed into the gradients afterwards, in a fixed order.
#pragma once

#include "kernels/attention/tiles.h"

namespace heed::kernels::attn {

struct ScoreSums {
  // By row [B, H, N]; each row belongs to one task.
  Tensor query_temperature, query_bias, sink;
  // By task and head of its group [tasks, group, M or entries].
  Tensor key_temperature, key_bias, table;
  Tensor columns;  // of PairWalk: [tasks, group, M]
  // A bias by query and key is added to in place; tasks that share parts of it run one after
  // another: those of equal number in here.
  Tensor bias;
  std::vector<int64_t> chain;
  // Relative logits by row [B, H, N, entries]: the gradients themselves where these do not
  // broadcast.
  std::array<Tensor, kRelativeAxes> relative_logits;

  ScoreSums(const Problem& p, const ScoreTerms<float>& terms, const Tasks& tasks,
            const AttentionGradients& grads);

  /// Sums everything into the gradients.
  void finish(const ScoreTerms<float>& terms, const Tasks& tasks,
              const AttentionGradients& grads) const;
  /// Sums the columns of all tasks into `to` [B, H, M].
  void add_columns(const Tasks& tasks, const Extents& e, float* to) const;

  /// Whether there are sums by query or by key alone.
  bool any_by_query_or_key() const {
    return query_temperature.defined() || query_bias.defined() || key_temperature.defined() ||
           key_bias.defined();
  }
};

/// Whether tasks that differ in batch or head add to the same elements of the bias.
bool shares_bias(const Problem& p, const ScoreTerms<float>& terms, const AttentionGradients& grads);

}  // namespace heed::kernels::attn
