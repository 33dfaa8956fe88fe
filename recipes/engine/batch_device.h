// Where a micro-batch lies.
#pragma once

#include "recipes/engine/task.h"

namespace heed::recipes {

/// The batch with its floating tensors on that device. Ids and targets stay on the host, where ops
/// check them.
inline Batch on_device(Batch batch, Device device) {
  for (auto& [key, tensor] : batch.tensors) {
    if (is_floating(tensor.dtype())) tensor = tensor.to(device);
  }
  return batch;
}

}  // namespace heed::recipes
