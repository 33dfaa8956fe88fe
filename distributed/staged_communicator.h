// Tensors on a device, sent by a communicator that knows host memory alone: each passes through a
// copy there. So several ranks can share one device, which NCCL does not allow.
#pragma once

#include <memory>

#include "distributed/communicator.h"

namespace heed {

/// What `host` does, for tensors on any device; those of the CPU go straight to it.
std::unique_ptr<Communicator> staged(std::unique_ptr<Communicator> host);

}  // namespace heed
