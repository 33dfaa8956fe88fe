// Transition-aware embedding distillation (Zhu et al., MQSA-TED, arXiv 2311.01056): items'
// embeddings themselves learn which item comes after which, from counts over all users.
//   teacher p_h = softmax_j(A[h, j] / max_j A[h, j] / tau)          A: how often j follows h
//   student q_h = softmax_j(x_h . E_j / tau)                        x_h: the embedding of h,
//   prepared loss = -mean_h sum_j p_hj ln q_hj
// The softmaxes run over all items. Neither is stored: the teacher is one value everywhere but at
// the successors that were seen, and the student's log-partition comes out of a fused
// cross-entropy.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "autograd/tape.h"

namespace heed::nn {

/// How often items follow items: of item i (from 0) these are next[k], count[k] for begin[i] <= k <
/// begin[i + 1].
struct TransitionCounts {
  std::vector<int64_t> begin, next;
  std::vector<double> count;
};

/// The teacher's rows, made once: of item i every item has the share everywhere[i], and successor
/// next[k] of the counts so much more: more[k]. Items without successors have an even teacher.
struct TransitionTeacher {
  TransitionTeacher(TransitionCounts counts, double tau);

  int64_t items() const { return static_cast<int64_t>(everywhere.size()); }

  double temperature;                ///< tau
  std::vector<int64_t> begin, next;  ///< as in the counts
  std::vector<double> everywhere, more;
};

/// The loss of heads (item numbers from 0, repeated as often as they count) with their states x [n,
/// C] against the table [items, C], both f32 or f64; the student has the teacher's temperature.
Tensor transition_distillation(const Tensor& x, std::span<const int64_t> heads, const Tensor& table,
                               const TransitionTeacher& teacher);

}  // namespace heed::nn
