// Communicator over NCCL, for tensors in the memory of CUDA devices, one rank a device.
//
// Operations run on a stream of the communicator's own, after what the default stream was given
// before them; Work tells when they are done. Tensors in host memory take the way of the host's
// communicator. Unlike MPI's, messages have no tags: between two ranks they meet in the order of
// sending, and a send and the receive it answers must be one start_ring_shift() or all-to-all where
// each rank does both at once.
#pragma once

#include <memory>

#include "distributed/communicator.h"

namespace heed {

/// Which device this rank uses: its number among the ranks of its machine. An Error where there is
/// no device, or more ranks on the machine than devices (they can share one through MPI instead).
int nccl_device();

/// All ranks of `host`, over which they find each other. Every rank calls it.
std::unique_ptr<Communicator> nccl_communicator(Communicator& host);

}  // namespace heed
