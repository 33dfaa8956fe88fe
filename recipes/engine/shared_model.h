// The model that a run trains, as this rank holds it: its parts of matrices, its tokens, its
// blocks, its shares of what ranks along the data axis need not all have; with its optimiser and
// averages.
#pragma once

#include <memory>

#include "distributed/collect_state.h"
#include "distributed/mesh.h"
#include "distributed/pipeline.h"
#include "distributed/sharded_parameters.h"
#include "distributed/token_layout.h"
#include "nn/token_split.h"
#include "optim/ema.h"
#include "optim/optimizer.h"
#include "recipes/engine/checkpoint.h"
#include "recipes/engine/recipe.h"

namespace heed::recipes {

/// The layout of `parallel.sequence_layout`, for a language model or another.
TokenLayout sequence_layout(const ParallelOptions& parallel, bool language_model);

class SharedModel {
 public:
  /// Splits a whole model that has its values, as `recipe.parallel` says; talks to nobody.
  /// `gathers` has the ranks of mesh.data() and is for nothing else: null where nothing is sharded.
  /// All outlive this.
  SharedModel(const Recipe& recipe, nn::Module& module, Mesh& mesh, Communicator* gathers);

  /// Of the whole model.
  int64_t parameter_count() const { return parameter_count_; }
  nn::Module& module() { return module_; }
  optim::Optimizer& optimizer() { return *optimizer_; }
  Pipeline& pipeline() { return *pipeline_; }
  /// Null where no average is kept.
  optim::Ema* ema() { return ema_.get(); }
  /// Null where every rank along the data axis holds all.
  ShardedParameters* sharded() { return sharded_.get(); }
  /// Null where sequences are whole.
  const std::shared_ptr<const nn::TokenSplit>& tokens() const { return tokens_; }

  /// Takes its own of a checkpoint's moments and averages; where that has no averages they start
  /// from the present values, and false is returned.
  bool load(const CheckpointContent& content);
  /// What this rank writes into a checkpoint: whole tensors. Every rank calls it.
  void save(CheckpointContent& content);

 private:
  void share_tokens();
  void check_parts() const;
  std::vector<optim::Parameter> take_shares(const std::vector<optim::Parameter>& trained,
                                            Communicator& gathers);
  NamedTensors of_stage(const NamedTensors& all, const NamedTensors& own) const;
  NamedTensors own_part(const std::vector<HeldTensor>& state) const;

  const Recipe& recipe_;
  nn::Module& module_;
  Mesh& mesh_;
  int64_t parameter_count_;
  std::shared_ptr<const nn::TokenSplit> tokens_;
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<ShardedParameters> sharded_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  std::unique_ptr<optim::Ema> ema_;
};

}  // namespace heed::recipes
