// The tensors of an attention's score as further inputs of an op: what every op that takes an
// AttentionSpec shares.
#pragma once

#include <array>
#include <vector>

#include "autograd/tape.h"
#include "kernels/attention/attention.h"

namespace heed {

inline constexpr size_t kScoreTensors = 5 + kRelativeAxes;

/// The tensors of a score, in the order in which they follow an op's own inputs.
std::array<Tensor*, kScoreTensors> score_tensors(AttentionScore& score);

/// A spec kept for the backward pass: its tensors are saved, and stay out of the copy.
class SavedSpec {
 public:
  explicit SavedSpec(AttentionSpec spec);
  AttentionSpec restore() const;

 private:
  AttentionSpec spec_;
  std::array<Saved, kScoreTensors> saved_;
};

/// The op's own inputs followed by the score's tensors, where they are defined.
std::vector<Tensor> with_score(std::vector<Tensor> inputs, AttentionScore score);

/// Which of the score's tensors want a gradient; they are inputs `first` and following.
kernels::ScoreWants score_wants(AttentionScore score, const Wanted& wanted, int first);

/// Appends the gradients of the score's defined tensors, in the tensors' dtypes.
void append_score(Gradients& to, const kernels::AttentionGradients& gradients,
                  AttentionScore score);

}  // namespace heed
