#include "recipes/engine/recipe.h"

#include <filesystem>

#include "core/device_runtime.h"
#include "data/registry.h"
#include "distributed/shard_layout.h"
#include "nn/registry.h"
#include "recipes/engine/recipe_tree.h"
#include "recipes/engine/schema.h"
#include "recipes/engine/task.h"

namespace heed::recipes {

void TrainOptions::options(Options& o) {
  o.field("steps", steps, "optimiser steps", {.min = 0});
  o.field("batch_size", batch_size, "sequences (or examples) of a micro-batch", {.min = 1});
  o.field("accumulation", accumulation, "micro-batches whose gradients make a step", {.min = 1});
  o.field("precision", precision,
          "of activations: f32, or bf16 with f32 master weights and f32 accumulation; f64, weights "
          "too, for checks",
          {.one_of = {"f32", "bf16", "f64"}});
  o.field("from", from,
          "weights to start from: a run's folder, a checkpoint's or a .safetensors file");
  o.field("clip", clip, "largest norm of the whole gradient; 0 leaves it as it is", {.min = 0});
  o.field("adaptive_clip", adaptive_clip,
          "largest norm of an output's gradient as a share of its weights' norm (0.01); 0: any",
          {.min = 0});
  o.field("adaptive_clip_skip", adaptive_clip_skip,
          "globs over the names of parameters that adaptive_clip leaves alone (the last layer)");
  o.field("ema", ema, "decay of the averaged weights (0.999); 0 keeps none",
          {.min = 0, .below = 1});
  o.field("on_nonfinite", on_nonfinite,
          "a loss or gradient that is not finite: stop and name the first bad tensor, or skip the "
          "step",
          {.one_of = {"stop", "skip"}});
  o.field("log_every", log_every, "steps between lines of metrics.jsonl", {.min = 1});
  o.field("eval_every", eval_every, "steps between evaluations; 0 evaluates at the end only",
          {.min = 0});
  o.field("checkpoint_every", checkpoint_every,
          "steps between checkpoints; 0 writes one at the end only", {.min = 0});
  o.field("keep_checkpoints", keep_checkpoints, "how many of the last checkpoints stay",
          {.min = 1});
  o.field("keep_best", keep_best, "keep the checkpoint of the best evaluation as well");
  o.field("tensorboard", tensorboard, "write TensorBoard events beside metrics.jsonl");
}

void EvaluationOptions::options(Options& o) {
  o.field("batch_size", batch_size, "sequences of a batch; 0 means as in training", {.min = 0});
  o.field("max_batches", max_batches, "stop after so many; 0 measures the whole split", {.min = 0});
  o.field("use_ema", use_ema, "measure the averaged weights where there are any");
  o.field("baselines", baselines, "predictors without a network to measure beside the model",
          {.one_of = {"unigram", "ngram", "majority", "mean", "popularity", "interpolation",
                      "pixels"}});
  o.field("ngram_order", ngram_order, "tokens that an n-gram spans", {.min = 1, .max = 8});
}

void SampleOptions::options(Options& o) {
  o.field("every", every, "steps between samples while training; 0 for none", {.min = 0});
  o.field("count", count, "samples each time", {.min = 1});
  o.field("prompt", prompt, "text to go on from; empty starts from nothing");
  o.field("max_tokens", max_tokens, "length of a sample", {.min = 1});
  o.field("temperature", temperature, "divides the logits; 0 takes the likeliest token",
          {.min = 0});
  o.field("top_k", top_k, "draw from the k likeliest tokens; 0 for all", {.min = 0});
  o.field("top_p", top_p, "draw from the likeliest tokens that hold this much probability",
          {.max = 1, .above = 0});
}

void AdaptGroup::options(Options& o) {
  o.field("targets", targets, "globs over module names", {.required = true});
  o.field("rank", rank, "rank of their updates", {.min = 1});
  o.field("alpha", alpha, "their updates are scaled by alpha / rank", {.above = 0});
}

void AdaptOptions::options(Options& o) {
  o.field("rank", rank, "rank of the updates; 0 trains the model itself", {.min = 0});
  o.field("alpha", alpha, "an update is scaled by alpha / rank", {.above = 0});
  o.field("dropout", dropout, "dropout of an update's input", {.min = 0, .below = 1});
  o.field("targets", targets, "globs over module names: the linear layers to update");
  o.field("also", also, "globs over module names: modules that are trained as they are (a head)");
  o.list("groups", groups,
         "linear layers whose updates have a rank of their own, before `targets`");
}

void ParallelOptions::options(Options& o) {
  o.field("data", data, "ranks that share the batch; 0: all that the other axes leave", {.min = 0});
  o.field("pipeline", pipeline, "ranks that share the blocks: stages that pass micro-batches on",
          {.min = 1});
  o.field("sequence", sequence, "ranks that share the tokens of every sequence", {.min = 1});
  o.field("sequence_layout", sequence_layout,
          "which tokens a rank has: a run of them, or two that balance causal work (zigzag), or "
          "every so-manieth (striped); auto: zigzag for language models, else contiguous",
          {.one_of = {"auto", "contiguous", "zigzag", "striped"}});
  o.field("sequence_attention", sequence_attention,
          "how queries meet other ranks' keys: blockwise round a ring, Ring Self-Attention with "
          "stored scores (rsa), or an exchange of heads",
          {.one_of = {"ring", "rsa", "heads"}});
  o.field("tensor", tensor, "ranks that share each matrix", {.min = 1});
  o.field("share_norms", share_norms,
          "ranks that share matrices hold a part of the tokens each where all features are: norms, "
          "dropout, the residual stream");
  o.check(!share_norms || sequence == 1, "share_norms",
          "the ranks of `sequence` share the tokens already");
  o.field("shard", shard,
          "what ranks along the data axis hold a share of, not all: the optimizer's moments "
          "(ZeRO-1), gradients too (ZeRO-2), parameters too (ZeRO-3)",
          {.one_of = sharding_names()});
  o.field("sync_batch_norm", sync_batch_norm,
          "batch norm by the whole batch's statistics, as on one rank, not by each rank's rows");
  o.field("watchdog", watchdog,
          "seconds that a rank waits for the others before it ends the run; 0: for ever",
          {.min = 0});
}

void check_rows_share_out(const char* field, int64_t rows, int64_t ranks) {
  if (rows % ranks == 0) return;
  fail_request("parallel: the {} rows of {} do not share out evenly among {} ranks", rows, field,
               ranks);
}

void Recipe::options(Options& o) {
  o.field("name", name, "names the run's folder; the file's name when empty");
  o.field("description", description, "one line for people");
  o.field("seed", seed, "of initial weights, data order and dropout", {.min = 0});
  o.field("device", device, "where tensors live: cpu, cuda, cuda:N");
  o.field("task", task, "what is learnt: `type` and its options", {.registry = "tasks"});
  o.field("model", model, "what is trained: `type` and its options",
          {.required = true, .registry = "models"});
  o.field("data", data, "what it is trained on: `type` and its options",
          {.required = true, .registry = "datasets"});
  o.field("train", train, "the training loop");
  o.field("lora", lora, "low-rank updates of a frozen model, instead of training all of it");
  o.field("optimizer", optimizer, "the optimiser");
  o.field("schedule", schedule, "the learning rate over the steps");
  o.field("evaluation", evaluation, "how held-out numbers are measured");
  o.field("samples", samples, "samples while training, and defaults of `heed generate`");
  o.field("parallel", parallel, "the mesh of ranks");
}

namespace {

/// Sets what an entry's schema has a default for and the tree leaves out.
void fill_defaults(Config& tree, const Config& schema) {
  const Config* properties = schema.find("properties");
  if (properties == nullptr || !tree.is_map()) return;
  for (const auto& [name, property] : properties->as_map()) {
    const Config* standard = property.find("default");
    Config* given = tree.find(name);
    if (given == nullptr && property.has("properties")) given = &tree.set(name, Config::map());
    if (given != nullptr) {
      fill_defaults(*given, property);
    } else if (standard != nullptr && !standard->is_null()) {
      tree.set(name, *standard);
    }
  }
}

std::string type_of(const Config& section, const char* name, const char* otherwise) {
  if (!section.is_map() && !section.is_null()) {
    fail_request(section.where(),
                 fmt::format("'{}' must be a map, got {}", name, section.summary()));
  }
  const Config* type = section.find("type");
  if (type != nullptr) return type->as_string();
  if (otherwise == nullptr) {
    fail_request(section.where(), fmt::format("'{}.type' is missing", name));
  }
  return otherwise;
}

SourceLocation type_place(const Config& section) {
  const Config* type = section.find("type");
  return type == nullptr ? section.where() : type->where();
}

/// `type` first, then the keys given, then the defaults left out.
Config completed(const Config& section, const std::string& type, const Config& schema) {
  Config result = Config::map();
  result.set_where(section.where()).set_key_where(section.key_where());
  result.set("type", type);
  if (const Config* given = section.find("type")) *result.find("type") = *given;
  if (section.is_map()) {
    for (const auto& [key, value] : section.as_map()) result.set(key, value);
  }
  fill_defaults(result, schema);
  return result;
}

void check_device(const Recipe& recipe, const Config& tree) {
  const Config* given = tree.find("device");
  const SourceLocation where = given == nullptr ? SourceLocation{} : given->where();
  Device device;
  try {
    device = device_from_name(recipe.device);
  } catch (const RequestError& error) {
    fail_request(where, error.what());
  }
  if (device.is_cpu()) return;
  try {
    device_runtime(device, "'device'");
  } catch (const Error& error) {
    fail_request(where, error.what());
  }
}

void check_schedule(const Recipe& recipe, const Config& tree) {
  const Config* given = tree.find("schedule");
  try {
    optim::Schedule(recipe.schedule, recipe.optimizer.lr, recipe.train.steps);
  } catch (const RequestError& error) {
    fail_request(given == nullptr ? tree.where() : given->where(), error.what());
  }
}

// What looks at whole tensors cannot work on shares of them. (Of what the other axes share the
// model itself must be asked: SharedModel.)
void check_shares(const Recipe& recipe, const Config& tree) {
  if (recipe.parallel.shard == "none") return;
  const Config* given = tree.find("parallel");
  const auto refuse = [&](const std::string& what) {
    fail_request(given == nullptr ? tree.where() : given->where(),
                 fmt::format("parallel.shard: {}: {} needs whole tensors, of which no rank has all "
                             "elements: leave it 'none'",
                             recipe.parallel.shard, what));
  };
  const std::string needy = optim::needs_whole_tensors(recipe.optimizer);
  if (!needy.empty()) refuse(needy);
  if (recipe.train.adaptive_clip > 0.0) refuse("train.adaptive_clip");
}

}  // namespace

Recipe recipe_from_config(const Config& tree) {
  Recipe recipe = read_options<Recipe>(tree, "", {});
  check_device(recipe, tree);
  check_schedule(recipe, tree);
  check_shares(recipe, tree);

  const TaskEntry& task =
      find_task(type_of(recipe.task, "task", "language_modeling"), type_place(recipe.task));
  const nn::ModuleEntry& model =
      nn::find_module(type_of(recipe.model, "model", nullptr), "model", type_place(recipe.model));
  const data::DatasetEntry& data =
      data::find_dataset(type_of(recipe.data, "data", "text"), type_place(recipe.data));
  recipe.task = completed(recipe.task, task.name, task.schema());
  recipe.model = completed(recipe.model, model.name, Config());  // presets: see Task::resolve
  recipe.data = completed(recipe.data, data.name, data.schema());

  recipe.file = tree.where().file;
  if (recipe.name.empty()) recipe.name = std::filesystem::path(recipe.file).stem().string();
  if (recipe.name.empty()) recipe.name = "run";
  return recipe;
}

Recipe load_recipe(const std::string& path, const std::vector<std::string>& overrides) {
  Config tree = load_recipe_tree(path, overrides);
  resolve_paths(tree);
  return recipe_from_config(tree);
}

Config to_config(const Recipe& recipe) { return write_options(recipe); }

}  // namespace heed::recipes
