#include "recipes/engine/shared_model.h"

#include <algorithm>
#include <utility>

#include "distributed/gathered_blocks.h"
#include "distributed/held_parts.h"
#include "distributed/sequence_parallel.h"
#include "distributed/state.h"
#include "distributed/tensor_parallel.h"
#include "nn/models/language_model.h"
#include "recipes/engine/held_state.h"

namespace heed::recipes {
namespace {

// The first rank's numbers: those that hold uneven parts of a tensor would share out otherwise.
std::vector<int> agreed(const std::vector<int>& numbers, Communicator& ranks) {
  const Tensor first = Tensor::from(std::vector<int64_t>(numbers.begin(), numbers.end()),
                                    {static_cast<int64_t>(numbers.size())});
  ranks.broadcast(first);
  const std::vector<int64_t> all = first.to_vector<int64_t>();
  return {all.begin(), all.end()};
}

}  // namespace

TokenLayout sequence_layout(const ParallelOptions& parallel, bool language_model) {
  if (parallel.sequence_layout != "auto") return token_layout(parallel.sequence_layout);
  return language_model ? TokenLayout::zigzag : TokenLayout::contiguous;
}

SharedModel::SharedModel(const Recipe& recipe, nn::Module& module, Mesh& mesh,
                         Communicator* gathers)
    : recipe_(recipe), module_(module), mesh_(mesh), parameter_count_(module.parameter_count()) {
  if (mesh.shape().tensor > 1) {
    split_tensors(module, mesh.tensor(), split_plan(module), recipe.parallel.share_norms);
  }
  share_tokens();
  check_parts();
  const NamedTensors whole = nn::trained_tensors(module);
  pipeline_ = std::make_unique<Pipeline>(mesh.pipeline(), module);
  const NamedTensors own = nn::trained_tensors(module);
  std::vector<optim::Parameter> trained =
      optim::trained_parameters(optim::options_for(recipe.optimizer, own, whole), own);
  if (gathers != nullptr) trained = take_shares(trained, *gathers);
  optimizer_ = optim::make_optimizer_of(recipe.optimizer, std::move(trained));
  if (recipe.train.ema > 0.0) {
    ema_ = std::make_unique<optim::Ema>(shares_of_trained(module, sharded_.get()),
                                        optim::EmaOptions{.decay = recipe.train.ema});
  }
}

// What looks at whole tensors cannot work on parts of them.
void SharedModel::check_parts() const {
  const bool clips = recipe_.train.adaptive_clip > 0.0;
  const std::string needy =
      clips ? "train.adaptive_clip" : optim::needs_whole_tensors(recipe_.optimizer);
  if (needy.empty()) return;
  for (const nn::Module::NamedTensor& named : module_.named_parameters()) {
    if (named.shard == nullptr) continue;
    fail_request("parallel: {} needs whole tensors, but ranks share '{}'", needy, named.name);
  }
}

void SharedModel::share_tokens() {
  if (mesh_.shape().sequence == 1) return;
  const bool language = dynamic_cast<nn::LanguageModel*>(&module_) != nullptr;
  tokens_ = std::make_shared<SequenceParallel>(
      mesh_.sequence(), sequence_layout(recipe_.parallel, language),
      sequence_method(recipe_.parallel.sequence_attention));
  share_sequences(module_, tokens_);
}

// This rank's shares of the parameters.
std::vector<optim::Parameter> SharedModel::take_shares(const std::vector<optim::Parameter>& trained,
                                                       Communicator& gathers) {
  const HeldParts parts(module_);
  const Sharding sharding = sharding_from_name(recipe_.parallel.shard);
  const BlockUnits units(module_);
  if (sharding == Sharding::parameters && units.count() == 0) {
    fail_request(
        "parallel.shard: parameters are gathered block by block, and this model has no "
        "stack of blocks: 'gradients' shares all but them");
  }
  std::vector<ShardLayout::Parameter> parameters;
  for (const optim::Parameter& parameter : trained) {
    parameters.push_back(
        {.name = parameter.name,
         .tensor = parameter.tensor,
         .copies = parts.copies(parameter.tensor),
         .unit = sharding == Sharding::parameters ? units.of(parameter.tensor) : 0});
  }
  sharded_ = std::make_unique<ShardedParameters>(sharding, std::move(parameters), mesh_, gathers);
  if (sharding == Sharding::parameters) gather_blocks_on_use(module_, *sharded_);
  return shares_of(trained, *sharded_);
}

bool SharedModel::load(const CheckpointContent& content) {
  optimizer_->load_state(
      of_stage(optimizer_shares(own_state(content.optimizer, module_), *optimizer_, sharded_.get()),
               optimizer_->state_tensors()));
  if (!ema_ || content.ema.empty()) return !ema_;
  ema_->load_state(
      of_stage(ema_shares(own_state(content.ema, module_), sharded_.get()), ema_->state_tensors()));
  return true;
}

// A stage of a pipeline leaves the other stages' alone.
NamedTensors SharedModel::of_stage(const NamedTensors& all, const NamedTensors& own) const {
  if (mesh_.shape().pipeline == 1) return all;
  NamedTensors mine = all;
  std::erase_if(mine, [&](const auto& entry) {
    return std::none_of(own.begin(), own.end(),
                        [&](const auto& held) { return held.first == entry.first; });
  });
  return mine;
}

void SharedModel::save(CheckpointContent& content) {
  content.model = own_part(held_model(module_, sharded_.get()));
  content.optimizer = own_part(held_optimizer(*optimizer_, sharded_.get()));
  if (ema_) content.ema = own_part(held_ema(*ema_, sharded_.get()));
}

// Those along the data axis share the writing; what ranks along other axes have twice is written
// once.
NamedTensors SharedModel::own_part(const std::vector<HeldTensor>& state) const {
  const std::vector<int> owners = agreed(share_out(state, mesh_.data().size()), mesh_.tensor());
  return whole_state(collect(state, owners, mesh_.data()), module_, mesh_);
}

}  // namespace heed::recipes
