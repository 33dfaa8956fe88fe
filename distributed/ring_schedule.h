// Which chunks of keys and values travel how far round a ring of ranks: no further than the last
// rank whose queries see any of them. Every rank knows this of all, without a word.
//
// At step t rank r holds the chunk of rank r - t (all ranks modulo their number): it goes from its
// own rank to the next, and so on.
#pragma once

#include <memory>
#include <vector>

#include "distributed/token_layout.h"

namespace heed {

class RingSchedule {
 public:
  /// Of the pattern of the whole sequences (`whole`: their extents).
  RingSchedule(const AttentionPattern& pattern, const PatternExtents& whole, TokenLayout layout,
               int ranks);

  int chunk(int rank, int step) const { return (rank + ranks_ - step) % ranks_; }
  /// Whether some query of the rank sees a key of the chunk.
  bool needs(int rank, int chunk) const {
    return needs_[static_cast<size_t>(rank * ranks_ + chunk)];
  }
  /// Whether the chunk of this step comes to the rank: it, or one behind it, needs it. Always true
  /// of its own (step 0).
  bool holds(int rank, int step) const;
  /// Whether the rank sends this step's chunk on.
  bool sends(int rank, int step) const {
    return step + 1 < ranks_ && holds((rank + 1) % ranks_, step + 1);
  }
  /// Gradients of a chunk gather behind its own rank, from the first rank there that needs it to
  /// the last, which sends them home. Whether a rank has some after this step:
  bool gathers(int rank, int step) const;
  /// The last step at which a chunk is needed, its own rank's not counted: 0 if nobody needs it.
  int last_step(int chunk) const;

 private:
  int ranks_;
  std::vector<char> needs_;
};

/// The schedule, from a cache where it has been made before.
std::shared_ptr<const RingSchedule> ring_schedule(const AttentionPattern& pattern,
                                                  const PatternExtents& whole, TokenLayout layout,
                                                  int ranks);

/// What a rank computes in a step of a ring.
struct RingWork {
  int64_t pairs = 0;  ///< over all batches and heads
  int64_t tiles = 0;  ///< of 64 x 64 pairs that hold some
};

/// By step.
std::vector<RingWork> ring_work(const AttentionPattern& pattern, const PatternExtents& whole,
                                TokenLayout layout, int ranks, int rank);

}  // namespace heed
