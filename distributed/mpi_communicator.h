// Communicator over MPI, for tensors in host memory.
#pragma once

#include <memory>

#include "distributed/communicator.h"

namespace heed {

/// All ranks of this launch; starts MPI on first use.
std::unique_ptr<Communicator> mpi_world();

}  // namespace heed
