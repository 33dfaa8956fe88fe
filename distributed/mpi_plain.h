// MPI's own blocking calls among all ranks of the launch, without our layer: the yardstick of
// `heed bench collectives`.
#pragma once

#include "core/tensor.h"
#include "distributed/collective.h"

namespace heed {

/// Tensors of f32 as Communicator's methods of the same names take them; all_reduce and broadcast
/// (from rank 0) work in place on `tensor`. Every rank calls it, and world() has started MPI.
void plain_mpi(Collective what, const Tensor& tensor, const Tensor& out);

}  // namespace heed
