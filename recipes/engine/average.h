// Checkpoint averaging: one set of weights from the last ones of a run (Vaswani et al., arXiv
// 1706.03762, section 6.1), which often generalises better than the last alone.
#pragma once

#include <string>
#include <vector>

#include "recipes/engine/checkpoint.h"

namespace heed::recipes {

struct AveragedCheckpoint {
  std::string path;                     ///< of the checkpoint that was written
  std::vector<CheckpointInfo> sources;  ///< those averaged, by ascending step
};

/// Writes a run folder `destination` (which must be new, or empty) with one checkpoint: the mean of
/// the last `count` >= 2 good checkpoints of `run`, each tensor summed in f64 and rounded once to
/// its own dtype; tensors of integers (counters) are the last one's. Parameters and buffers alike:
/// running statistics of batch norm too, which suits checkpoints that lie near each other. Averages
/// that a run keeps of its weights (`train.ema`) and the optimiser's state are left out; recipe,
/// tokenizer and other assets are the last one's.
///
/// Damaged checkpoints are passed over with a warning. RequestErrors: fewer than `count` good ones
/// (`train.keep_checkpoints` says how many a run keeps), or tensors that differ in name, shape or
/// dtype.
AveragedCheckpoint average_checkpoints(const std::string& run, const std::string& destination,
                                       int64_t count, const Warning& warn = {});

}  // namespace heed::recipes
