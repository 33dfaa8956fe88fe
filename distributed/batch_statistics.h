// What modules remember of batches (batch norm's statistics, k-means' centroids) where ranks share
// a batch.
#pragma once

#include "autograd/ops/channel_norm.h"
#include "distributed/communicator.h"
#include "nn/module.h"

namespace heed {

/// Adds up numbers over the ranks, which outlive it.
SumOverRanks sum_over(Communicator& ranks);

/// Lets every module that remembers something of a batch take it from all ranks' rows, as one rank
/// would: batch norms normalise by all. The communicator is for nothing else and outlives the
/// module's forward and backward passes.
void share_batch_statistics(nn::Module& module, Communicator& ranks);

/// Every floating buffer := its mean over ranks: for statistics that were kept apart.
void average_buffers(nn::Module& module, Communicator& ranks);

}  // namespace heed
