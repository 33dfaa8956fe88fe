// The part of an attention that some of its queries and keys make: what a ring's step or a split
// computes. The parts of a row, and one without keys, merge into the whole (merge.h).
#pragma once

#include <vector>

#include "kernels/attention/attention.h"

namespace heed::kernels {

struct PartSpec {
  AttentionSpec spec;
  /// By head: what has to be added to the part's log-sum-exps, and taken off those that its
  /// backward pass gets. Empty: nothing.
  std::vector<double> shift = {};
};

/// The spec of a part. The score's tensors hold the whole's keys; of its queries they hold (in
/// their own extents) some that begin with the part's at row `first_row`. What has no key belongs
/// to the part without keys alone: the sink and virtual keys. Dropout draws as the whole would.
PartSpec part_spec(const AttentionSpec& whole, const AttentionPart& part, int64_t first_row);

/// The whole's log-sum-exps [B, H, n] of the part's queries as the part's backward pass takes them.
Tensor part_lse(const PartSpec& part, const Tensor& lse);

/// Adds the gradients of a part's score tensors to those of the tensors it was made of; undefined
/// ones are passed over.
void add_part_gradients(const AttentionGradients& whole, const AttentionGradients& part,
                        const AttentionPart& which, int64_t first_row);

/// Whether dropout of parts draws as the whole does: not where the whole's plan reorders tokens,
/// since its draws follow the slots of the plan.
bool parts_draw_alike(const AttentionPattern& pattern, int64_t queries, int64_t keys);

}  // namespace heed::kernels
