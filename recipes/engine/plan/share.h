// How a plan shares a run among ranks, and what each rank then holds at the peak of a step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "distributed/mesh.h"
#include "distributed/shard_layout.h"
#include "optim/optimizer.h"
#include "recipes/engine/plan/formulas.h"
#include "recipes/engine/plan/planned_model.h"

namespace heed::recipes {

/// All levels, each with what those before it share.
inline constexpr Sharding kShardings[] = {Sharding::none, Sharding::optimizer, Sharding::gradients,
                                          Sharding::parameters};

/// Its name in a recipe.
const std::string& name_of(Sharding sharding);

/// A way to run one optimiser step on some ranks.
struct Share {
  MeshShape mesh;  ///< every axis filled in
  Sharding sharding = Sharding::none;
  SequenceMethod method = SequenceMethod::ring;
  TokenLayout layout = TokenLayout::contiguous;
  bool share_norms = false;  ///< tensor ranks hold their own tokens where all features are
  bool adaptive_clip = false;
  bool checkpointing = false;
  double element_bytes = 4;     ///< of activations
  int64_t rows = 1;             ///< of a micro-batch on all ranks
  int64_t micro_batches = 1;    ///< of a step
  int64_t evaluation_rows = 0;  ///< of a batch of evaluation, where it has a size of its own
  bool average = false;         ///< an average of the weights is kept
  optim::OptimizerOptions optimizer;
};

/// What the tokens of a row must be a multiple of.
int64_t token_multiple(const Share& share);
/// Why `heed train` would refuse this, or why there is no formula for it; "" when it can be
/// planned.
std::string refusal(const PlannedModel& model, const Share& share);

/// Bytes of one rank at the peak of a step.
struct RankMemory {
  int64_t stage = 0;  ///< of the pipeline
  int64_t parameters = 0;
  int64_t gradients = 0;
  int64_t optimizer = 0;
  int64_t average = 0;
  int64_t activations = 0;    ///< kept for the backward pass, of all micro-batches under way
  int64_t attention = 0;      ///< of them, what the method of attention decides (scores, lse)
  int64_t working = 0;        ///< what one block's backward pass needs beside that
  int64_t communication = 0;  ///< gradients and parameters on their way
  /// The most at once: less than the sum, since gradients come as activations go, unless those of
  /// earlier micro-batches are there already.
  int64_t total = 0;
};

/// Of the ranks of one pipeline stage; they are all alike.
RankMemory rank_memory(const PlannedModel& model, const Share& share, int64_t stage);
/// Of the stage that holds most.
RankMemory largest_memory(const PlannedModel& model, const Share& share);

/// Whether a parameter is held by a stage: those of its blocks, and all that belong to none.
bool held_by(const PlannedParameter& p, const PlannedModel& model, int64_t stages, int64_t stage);
/// Elements of the largest part of a parameter that a rank holds, before sharding over the data
/// axis.
int64_t part_of(const PlannedParameter& p, const MeshShape& mesh);
/// How many ranks beside those of the data axis hold the same part.
int64_t holders_of(const PlannedParameter& p, const MeshShape& mesh);
/// Ranks of the tensor axis whose query heads use the same key and value head; each has a part of
/// the head's features, and gathers the rest.
int64_t sharers_of_key_head(const PlannedModel& model, int64_t ranks);
/// Attention's geometry on one rank, for one micro-batch.
AttentionShare attention_share(const PlannedModel& model, const Share& share);
/// Rows of a micro-batch on one rank.
double rows_of_rank(const Share& share);
/// Features of the residual stream on one rank, between attention and feed-forward layers: all of
/// every token or, with share_norms, as many as all of the rank's own tokens have.
double stream_width(const PlannedModel& model, const Share& share);

/// Bytes of the optimiser's state for a parameter of so many elements and rows.
int64_t state_bytes(const optim::OptimizerOptions& optimizer, int64_t elements, int64_t rows,
                    int rank);

/// Bytes kept of one block for the backward pass of one micro-batch on one rank, its attention's
/// own part included (see the source for the terms).
double kept_of_block(const PlannedModel& model, const Share& share);

}  // namespace heed::recipes
