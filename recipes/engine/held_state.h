// A run's tensors between what this rank holds of them and the whole ones of a checkpoint.
// `sharded` is null where every rank holds all.
#pragma once

#include "distributed/collect_state.h"
#include "distributed/sharded_parameters.h"
#include "nn/module.h"
#include "optim/ema.h"
#include "optim/optimizer.h"

namespace heed::recipes {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// The parameters with their shares in place of the whole tensors, those without a share left out:
/// what an optimiser takes.
std::vector<optim::Parameter> shares_of(const std::vector<optim::Parameter>& whole,
                                        const ShardedParameters& sharded);
/// The same for every trained tensor of a module; what the optimiser does not train is whole.
NamedTensors shares_of_trained(nn::Module& module, const ShardedParameters* sharded);

std::vector<HeldTensor> held_model(nn::Module& module, const ShardedParameters* sharded);
std::vector<HeldTensor> held_optimizer(const optim::Optimizer& optimizer,
                                       const ShardedParameters* sharded);
std::vector<HeldTensor> held_ema(const optim::Ema& ema, const ShardedParameters* sharded);

/// This rank's shares of a checkpoint's optimiser state or averages, for load_state().
NamedTensors optimizer_shares(const NamedTensors& whole, const optim::Optimizer& optimizer,
                              const ShardedParameters* sharded);
NamedTensors ema_shares(const NamedTensors& whole, const ShardedParameters* sharded);

}  // namespace heed::recipes
