// Recipe: everything a run is, as typed sections with checked values.
//
//   Recipe recipe = load_recipe("recipes/base/shakespeare-char.yaml", {"train.steps=500"});
//   write_text_file("recipe.yaml", to_config(recipe).to_yaml());   // parses back equal
//
// The sections `task`, `model` and `data` stay trees here: their `type` picks an entry of a
// registry, which reads the rest. Whether everything fits together (widths and heads, context and
// data, vocabulary and tokenizer) is known once the task is built: see make_task().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/options.h"
#include "distributed/mesh.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"

namespace heed::recipes {

/// `train:` the loop itself.
struct TrainOptions {
  int64_t steps = 1000;
  int64_t batch_size = 16;
  int64_t accumulation = 1;
  std::string precision = "f32";
  std::string from;
  double clip = 1.0;
  double adaptive_clip = 0.0;
  std::vector<std::string> adaptive_clip_skip;
  double ema = 0.0;
  std::string on_nonfinite = "stop";
  int64_t log_every = 10;
  int64_t eval_every = 250;
  int64_t checkpoint_every = 500;
  int64_t keep_checkpoints = 2;
  bool keep_best = true;
  bool tensorboard = true;
  void options(Options& o);
};

/// `evaluation:` how held-out numbers are measured.
struct EvaluationOptions {
  int64_t batch_size = 0;
  int64_t max_batches = 0;
  bool use_ema = true;
  std::vector<std::string> baselines;
  int64_t ngram_order = 3;
  void options(Options& o);
};

/// `samples:` what the model writes while it trains, and the defaults of `heed generate`.
struct SampleOptions {
  int64_t every = 0;
  int64_t count = 1;
  std::string prompt;
  int64_t max_tokens = 200;
  double temperature = 0.8;
  int64_t top_k = 0;
  double top_p = 1.0;
  void options(Options& o);
};

/// Linear layers whose low-rank updates have a rank and a scale of their own.
struct AdaptGroup {
  std::vector<std::string> targets;
  int64_t rank = 8;
  double alpha = 16.0;
  void options(Options& o);
};

/// `lora:` low-rank updates of a frozen model (see adapt.h).
struct AdaptOptions {
  int64_t rank = 0;
  double alpha = 16.0;
  double dropout = 0.0;
  std::vector<std::string> targets = {"blocks.*"};
  std::vector<std::string> also;
  std::vector<AdaptGroup> groups;
  void options(Options& o);
};

/// `parallel:` the mesh of ranks.
struct ParallelOptions {
  int64_t data = 0;
  int64_t pipeline = 1;
  int64_t sequence = 1;
  std::string sequence_layout = "auto";
  std::string sequence_attention = "ring";
  int64_t tensor = 1;
  std::string shard = "none";
  bool share_norms = false;
  bool sync_batch_norm = true;
  double watchdog = 600.0;
  void options(Options& o);

  MeshShape shape() const { return {data, pipeline, sequence, tensor}; }
};

/// A RequestError unless the rows of a batch, the recipe's `field`, share out evenly among ranks.
void check_rows_share_out(const char* field, int64_t rows, int64_t ranks);

struct Recipe {
  std::string name;
  std::string description;
  int64_t seed = 1337;
  std::string device = "cpu";
  Config task;
  Config model;
  Config data;
  TrainOptions train;
  AdaptOptions lora;
  optim::OptimizerOptions optimizer;
  optim::ScheduleOptions schedule;
  EvaluationOptions evaluation;
  SampleOptions samples;
  ParallelOptions parallel;
  void options(Options& o);

  /// The file that it was read from; names the run when `name` is empty.
  std::string file;
};

/// Reads a recipe file with everything it extends, applies the overrides ("train.steps=500", see
/// recipe_tree.h) and checks every key, type and range. Throws RequestError with
/// file:line:column, or "override 'a.b=c'", and a suggestion.
Recipe load_recipe(const std::string& path, const std::vector<std::string>& overrides = {});

/// The same from a merged tree.
Recipe recipe_from_config(const Config& tree);

/// The resolved recipe: every field with its value.
Config to_config(const Recipe& recipe);

/// JSON Schema of recipe files (draft 2020-12), the registries' entries expanded: `model` by type,
/// `attention` by type, `task` and `data` by type. Nothing is required, since a file may extend
/// another that has it.
Config recipe_schema();

}  // namespace heed::recipes
