// The backward kernels for sm_90a, each of which a source of its own instantiates.
#pragma once

#include "kernels/attention/cuda/hopper/call.h"

namespace heed::kernels::cuda {

void backward_queries_hopper(const HopperCall& h);
void backward_keys_hopper(const HopperCall& h);

}  // namespace heed::kernels::cuda
