#pragma once

#include "nn/module.h"

namespace heed::nn {

/// Where a module's parameters lie, by the first one; the host where it has none.
inline Device device_of(Module& module) {
  for (const Module::NamedTensor& named : module.named_tensors(/*buffers=*/false)) {
    if (named.tensor->defined()) return named.tensor->device();
  }
  return kCpu;
}

}  // namespace heed::nn
