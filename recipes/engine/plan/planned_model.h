// A recipe's model as a plan sees it: shapes, never values. Modules are made as for training, but
// their memory is not written, so that the system gives it no pages: a model of any size can be
// planned on a small machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "recipes/engine/recipe.h"

namespace heed::recipes {

struct PlannedParameter {
  std::string name;
  int64_t elements = 0;
  int64_t first_extent = 1;  ///< rows of a matrix; the elements of a vector
  int rank = 0;              ///< dimensions
  bool trained = true;       ///< neither frozen nor a buffer
  int64_t layer = -1;        ///< the block that a pipeline deals it out with; -1: none
  int64_t unit = 0;          ///< the block whose parameters are gathered with it; 0: none
  /// Groups that the dimension which the tensor axis shares consists of, of each of which a rank
  /// has a part (nn::Shard); none: whole on every rank.
  std::vector<int64_t> tensor_groups = {};
  bool by_token = false;       ///< a row or a column for each token
  bool over_sequence = false;  ///< a rank has those of its own tokens alone

  bool over_tensor() const { return !tensor_groups.empty(); }
};

struct PlannedModel {
  std::string type;       ///< "gpt", "encoder", "vit", ...
  std::string attention;  ///< the mechanism's type
  std::string unplanned;  ///< what of its layers the formulas do not know; empty: nothing
  /// Whether the formulas know it. Else `measured_bytes` come from a forward pass here, and the
  /// plan has data for an axis (for gpt, encoder and vit pipeline too): what activations are on the
  /// others nobody has written down.
  bool known = false;
  double measured_bytes = 0;  ///< of one row

  int64_t layers = 0, dim = 0, heads = 0, kv_heads = 0, head_dim = 0, hidden = 0;
  int64_t tokens = 0;        ///< of a row, as attention sees them
  int64_t projected = 0;     ///< linformer: keys and values that are left of them
  int64_t outputs = 0;       ///< of the head over every token (a vocabulary); 0: none
  int64_t input_values = 0;  ///< kept of a row's input (an image's), whatever its tokens
  bool gated = false;        ///< swiglu
  bool causal = false;
  bool norm_first = true;
  bool last_kept = false;   ///< the last states are read by a layer that keeps them
  bool masked = false;      ///< a head that transforms states before predicting tokens
  bool head_norms = false;  ///< queries and keys normalised by head
  bool rms = false;
  double branch_copies = 0;    ///< tensors [B, N, C] that layer scale and drop path keep in a block
  int64_t kept_per_block = 1;  ///< tensors [B, N, C] kept of a block under checkpointing
  bool checkpointing = false;
  bool resizable = false;  ///< the length of a row is the recipe's to choose
  std::string item;        ///< what a row is: "sequences", "images"

  std::vector<PlannedParameter> parameters;
  int64_t units = 0;  ///< blocks of all stacks, which are gathered one by one
  int64_t buffer_bytes = 0;

  double flops_of_row = 0;  ///< forward, for `tokens`; of models that are not known
  int64_t parameter_count() const;
  /// Forward floating-point operations of one row: products with matrices, and attention.
  double matrix_flops() const;
  double attention_flops() const;
  /// The same model for rows of `length` tokens.
  PlannedModel with_tokens(int64_t length) const;
};

/// Reads the shapes. Data is opened only where the recipe leaves something to it (a vocabulary,
/// classes); RequestErrors as from make_task().
PlannedModel planned_model(const Recipe& recipe);

}  // namespace heed::recipes
