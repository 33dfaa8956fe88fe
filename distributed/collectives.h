// What ranks say to each other inside a forward pass, as operations on the tape.
//
// The run's loss is the sum of the ranks' losses (distributed/held_parts.h), so the gradient of
// each of these is its adjoint over all ranks: a rank's x reaches the losses of all, and its
// gradient gathers what each of them has to say. So
//
//   forward           backward
//   all_reduce        all_reduce
//   all_gather        reduce_scatter
//   reduce_scatter    all_gather
//
// Megatron-LM (Shoeybi et al., arXiv 1909.08053, section 3) instead takes one loss, which every
// rank holds a copy of; its f and g are (identity, all-reduce) at the entry of a column-parallel
// layer and (all-reduce, identity) at the exit of a row-parallel one. Here the entry is nothing at
// all and the exit an all-reduce both ways. The traffic is the same, one all-reduce a region and
// direction; it is only made where the region ends. What lies between the regions (residual
// stream, norms) holds on each rank the share of the gradient that came through this rank's copy,
// and a parameter that all ranks hold has the sum over them as its gradient.
//
// Every rank of the communicator calls them in the same order, forward and backward. One rank
// alone: x itself.
#pragma once

#include "autograd/tape.h"
#include "distributed/communicator.h"

namespace heed {

/// The sum of the ranks' x. `ranks` outlives the backward pass, here and below.
Tensor all_reduce(const Tensor& x, Communicator& ranks);

/// The ranks' x side by side along dim, in order of rank.
Tensor all_gather(const Tensor& x, int dim, Communicator& ranks);

/// This rank's part along dim, of as many equal ones as there are ranks, of the sum of the ranks'
/// x.
Tensor reduce_scatter(const Tensor& x, int dim, Communicator& ranks);

}  // namespace heed
