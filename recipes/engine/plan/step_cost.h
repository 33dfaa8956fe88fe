// What a step of a shared run sends along each axis, and how long it takes on a machine.
#pragma once

#include "recipes/engine/plan/machine.h"
#include "recipes/engine/plan/share.h"

namespace heed::recipes {

/// Along one axis of the mesh, by one rank in one step.
struct AxisTraffic {
  double bytes = 0;     ///< sent
  double messages = 0;  ///< that follow one another
};

struct StepTraffic {
  /// `data` is the gradients' (and the shards' of parameters): its ranks are all that hold the same
  /// part of a parameter, those of other axes too.
  AxisTraffic data, pipeline, sequence, tensor;
  double bytes() const { return data.bytes + pipeline.bytes + sequence.bytes + tensor.bytes; }
};

/// Of the ranks of the stage that sends most.
StepTraffic step_traffic(const PlannedModel& model, const Share& share);

/// Seconds of a step. Communication that has computation to hide behind (gradients: the backward
/// pass; a ring's hops: the attention of the chunk at hand; gathered parameters: the block before)
/// counts with what is left over; the rest counts in full.
struct StepTime {
  double products = 0;  ///< matrices and attention, forward and backward, with recomputation
  double memory = 0;    ///< activations written and read, the optimiser's pass
  double data = 0, pipeline = 0, sequence = 0, tensor = 0;  ///< communication not hidden
  double waiting = 0;                                       ///< the pipeline's bubble
  double total() const { return products + memory + data + pipeline + sequence + tensor + waiting; }
};

StepTime step_time(const PlannedModel& model, const Share& share, const MachineDescription& machine,
                   const std::string& precision);

/// Floating-point operations of one rank of the largest stage in one step.
double rank_flops(const PlannedModel& model, const Share& share);

}  // namespace heed::recipes
