// A plan: what a recipe would take of each rank and how fast it would be, the best mesh among all,
// and the longest sequence and largest batch that fit. Nothing is run and no weight is made.
//
//   PlanRequest request{.ranks = 64, .machine = find_machine("h100")};
//   Plan plan = make_plan(load_recipe("recipe.yaml"), request);
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "recipes/engine/plan/machine.h"
#include "recipes/engine/plan/share.h"
#include "recipes/engine/plan/step_cost.h"
#include "recipes/engine/recipe.h"

namespace heed::recipes {

inline constexpr int64_t kMostRanks = 1000000;  ///< of a plan

struct PlanRequest {
  int64_t ranks = 0;  ///< 0: as many as the axes of `mesh`, else of the recipe, name
  MachineDescription machine;
  /// Absent: the recipe's, if it has an axis beside data; else the best of all.
  std::optional<MeshShape> mesh = {};
  /// Absent: the recipe's or, if that is none, the first that fits.
  std::optional<Sharding> sharding = {};
  /// Absent: the recipe's, if it shares sequences or names one that is not ring; else the fastest
  /// that fits.
  std::optional<SequenceMethod> method = {};
  std::optional<bool> checkpointing = {};     ///< absent: the model's own
  std::optional<int64_t> micro_batches = {};  ///< of a pipeline; absent: the fastest that fit
  std::vector<std::string> overrides = {};    ///< that the recipe was loaded with
};

/// One way to run it.
struct PlannedRun {
  Share share;
  RankMemory memory;  ///< of the rank that holds most
  StepTraffic traffic;
  StepTime time;
  bool fits = false;
};

struct Plan {
  std::string name;
  std::string precision;
  std::string file;          ///< the recipe's
  ParallelOptions parallel;  ///< the recipe's
  PlanRequest request;
  PlannedModel model;
  int64_t rows_per_step = 0;
  PlannedRun best;
  std::vector<RankMemory> by_sharding;  ///< of best's mesh, at each level
  std::vector<RankMemory> by_stage;     ///< of each pipeline stage, where there are several
  RankMemory other_checkpointing;       ///< with checkpointing turned on (or off)
  std::vector<PlannedRun> others;       ///< the best of the other meshes, fastest first
  int64_t meshes = 0;                   ///< that were looked at
  int64_t longest_tokens = 0;           ///< of a row, that fit as `best`; 0: not even the shortest
  int64_t largest_rows = 0;             ///< of a micro-batch

  double tokens_per_second() const;
};

/// RequestErrors say what to change: a mesh that does not multiply to the ranks, or that the model
/// cannot be shared over. A plan that does not fit the machine's memory is a plan all the same.
Plan make_plan(const Recipe& recipe, const PlanRequest& request);

/// The words of the command that trains as `best` says.
std::vector<std::string> run_command(const Plan& plan);

/// For `heed plan --json`.
Config to_config(const Plan& plan);

/// "data=2,tensor=4": axes left out are 1, but for data, which takes what is left of
/// `ranks` (0: as many as it names).
MeshShape mesh_from_text(const std::string& text, int64_t ranks);

/// All meshes of so many ranks.
std::vector<MeshShape> all_meshes(int64_t ranks);

}  // namespace heed::recipes
