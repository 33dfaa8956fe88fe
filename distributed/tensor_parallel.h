// Tensor parallelism (Megatron-LM, Shoeybi et al., arXiv 1909.08053, section 3): ranks share the
// matrices of a model.
//
//   attention      each rank has its heads: columns of the q, k, v projection, rows of that of the
//                  output; ranks whose query heads share a key and value head have a part of its
//                  features each, and gather them
//   feed-forward   each rank has its hidden features: columns of the first layer, rows of the last
//   vocabulary     each rank has its tokens: rows of the embedding and of the head, whose logits
//                  are never whole in training
//
// One all-reduce ends each of these, forward and backward (distributed/collectives.h). The rest
// (norms, residual stream, biases behind a sum, small heads) every rank has whole.
//
// Which modules are split is a table from paths to kinds, so that models know nothing of it.
#pragma once

#include <string>
#include <vector>

#include "distributed/communicator.h"
#include "nn/module.h"
#include "nn/tensor_split.h"

namespace heed {

/// What ranks share of a module.
enum class SplitKind {
  heads,       ///< of an attention mechanism
  hidden,      ///< features of a feed-forward layer
  vocabulary,  ///< of a model, its embedding and its head together
};

struct SplitRule {
  std::string pattern;  ///< a glob over paths of modules (optim::glob_match); "" is the root
  SplitKind kind;
};
using SplitPlan = std::vector<SplitRule>;

/// The plan of a gpt, an encoder or a vit; a RequestError for another model.
SplitPlan split_plan(const nn::Module& model);

/// Keeps this rank's part of what the plan names; nothing for one rank. The values are whole before
/// (or come later: load_state_dict takes whole ones), and `ranks` outlives the model. A
/// RequestError that names the module where a part cannot be kept, or where a rule matches nothing;
/// the model is of no use then. Talks to no other rank.
///
/// With `tokens` every rank holds its own tokens alone between the regions of the blocks, in
/// training: a reduce-scatter and an all-gather in place of each all-reduce, and norms, dropout and
/// the residual stream take a part of the memory (Korthikanti et al., arXiv 2205.05198, section
/// 4.2.2). The ranks must divide the tokens then.
void split_tensors(nn::Module& model, Communicator& ranks, const SplitPlan& plan,
                   bool tokens = false);

/// The ranks as layers see them, for layers that are split by hand.
nn::TensorSplitPointer tensor_split(Communicator& ranks);

}  // namespace heed
