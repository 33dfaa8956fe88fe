// What modules remember of batches (batch norm's statistics) where ranks share a batch.
#pragma once

#include "distributed/communicator.h"
#include "nn/module.h"

namespace heed {

/// Lets every batch norm of the module normalise by the statistics of all ranks' rows, as one rank
/// would. The communicator is for nothing else and outlives the module's forward passes.
void share_batch_statistics(nn::Module& module, Communicator& ranks);

/// Every floating buffer := its mean over ranks: for statistics that were kept apart.
void average_buffers(nn::Module& module, Communicator& ranks);

}  // namespace heed
