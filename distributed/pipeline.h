// Pipeline parallelism: ranks share the blocks of a model, each a run of them, and pass
// micro-batches on. One forward, one backward (1F1B; Narayanan et al., arXiv 2104.04473,
// section 2.2; PipeDream- Flush in arXiv 2006.09503): after a warm-up of as many forward passes as
// there are stages behind, a stage alternates between a forward and a backward pass, so that it
// never keeps the activations of more micro-batches than there are stages.
//
//   stage 0   F0 F1 F2 .. .. B0 F3 B1 .. B2 .. B3        3 stages, 4 micro-batches
//   stage 1   .. F0 F1 .. B0 F2 B1 F3 B2 .. B3
//   stage 2   .. .. F0 B0 F1 B1 F2 B2 F3 B3
//
// Every stage has the parts of the model that are not blocks (embeddings, norms, heads) and trains
// them as replicas: a tied embedding then needs nothing of its own, at the price of its memory.
// Only the first stage's embedding and the last one's head compute.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "distributed/communicator.h"
#include "nn/models/block_stack.h"

namespace heed {

/// Blocks first <= i < end.
struct BlockRange {
  int64_t first = 0, end = 0;
  int64_t size() const { return end - first; }
};

/// Those of a stage: as even as can be, earlier stages taking what is left over.
BlockRange blocks_of_stage(int64_t blocks, int64_t stages, int64_t stage);

class Pipeline {
 public:
  /// Cuts the module's stack of blocks among the ranks of `stages` (which outlives this): every
  /// rank keeps its share, as even as can be, the later ones the smaller. A RequestError where the
  /// model has no stack of blocks, several, or fewer blocks than there are stages. One rank:
  /// changes nothing.
  Pipeline(Communicator& stages, nn::Module& module);
  ~Pipeline();

  bool is_last() const;

  struct MicroBatch {
    std::function<Tensor()> loss;  ///< the forward pass, to a 0-dimensional loss
    double weight = 1.0;           ///< of its loss in the step's
  };
  /// Called around every backward pass; `last` is the step's last one.
  struct Around {
    std::function<void(bool last)> before = {};
    std::function<void()> after = {};
  };
  /// Forward and backward passes of all micro-batches. The weighted sum of their losses on the last
  /// stage, 0 on the others.
  double run(const std::vector<MicroBatch>& batches, const Around& around);
  double run(const std::vector<MicroBatch>& batches) { return run(batches, Around()); }

  /// Most micro-batches whose activations a stage has kept at once in the last run.
  int64_t most_in_flight() const { return most_in_flight_; }

 private:
  class Stage;
  struct Flight;

  Flight forward(const MicroBatch& batch);
  double backward(Flight& flight);

  Communicator& stages_;
  std::shared_ptr<Stage> stage_;  // null with one rank
  int64_t most_in_flight_ = 0;
};

}  // namespace heed
