// Runs of several ranks, and the contract that they are tested by: any mesh gives the one-rank run,
// up to rounding.
#pragma once

#include <exception>
#include <map>
#include <memory>

#include "core/files.h"
#include "distributed/world.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {

/// A folder that all ranks see.
class SharedScratch {
 public:
  SharedScratch() : path_(world().all_gather_text(own_.path())[0]) {}
  ~SharedScratch() {
    if (std::uncaught_exceptions() == 0) world().barrier();
  }
  std::string path(const std::string& name) const { return path_ + "/" + name; }
  const Scratch& own() const { return own_; }

 private:
  Scratch own_;
  std::string path_;
};

inline EndReport train_ranks(const std::string& recipe, const std::string& run,
                             const std::vector<std::string>& overrides, TrainObserver& observer,
                             Communicator& ranks, bool resume = false) {
  TrainRequest request;
  request.recipe = load_recipe(recipe, overrides);
  request.run_dir = run;
  request.resume = resume;
  request.ranks = &ranks;
  return train(request, observer);
}

// Relative difference that rounding grows to over a short run.
inline constexpr double kF32 = 1e-4, kF64 = 1e-10;

inline void expect_close(const Tensor& a, const Tensor& b, const std::string& name,
                         double tolerance = kF32) {
  ASSERT_EQ(a.shape(), b.shape()) << name;
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  double largest = 0.0, difference = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    largest = std::max(largest, std::abs(y[i]));
    difference = std::max(difference, std::abs(x[i] - y[i]));
  }
  EXPECT_LE(difference, tolerance * (largest + 1e-2)) << name;
}

// By name: the order of a checkpoint's tensors depends on the ranks that wrote it.
inline void expect_close(const NamedTensors& a, const NamedTensors& b, double tolerance = kF32) {
  ASSERT_EQ(a.size(), b.size());
  const std::map<std::string, Tensor> by_name(b.begin(), b.end());
  for (const auto& [name, tensor] : a) {
    ASSERT_TRUE(by_name.contains(name)) << name;
    expect_close(tensor, by_name.at(name), name, tolerance);
  }
}

/// What one rank makes of a recipe: the measure of all meshes.
struct OneRankRun {
  Recorder heard;
  CheckpointContent content;
};

/// Trains on this rank alone, once for the same recipe and overrides.
inline const OneRankRun& one_rank_run(const SharedScratch& folder, const std::string& recipe,
                                      const std::vector<std::string>& overrides) {
  static std::map<std::string, std::unique_ptr<OneRankRun>> known;
  const std::string key = fmt::format("{}{}", read_file(recipe), fmt::join(overrides, " "));
  std::unique_ptr<OneRankRun>& run = known[key];
  if (run) return *run;
  auto fresh = std::make_unique<OneRankRun>();
  const auto self = self_communicator();
  train_ranks(recipe, folder.path("one"), overrides, fresh->heard, *self);
  fresh->content = read_checkpoint(find_checkpoint(folder.path("one")).path);
  EXPECT_EQ(fresh->content.state.mesh.ranks(), 1);
  EXPECT_LT(fresh->heard.steps.back().loss, fresh->heard.steps.front().loss);
  run = std::move(fresh);
  return *run;
}

/// Trains a recipe file on rank 0 alone and on all ranks, and compares all that comes out.
/// `overrides` hold for both runs, `mesh` for all ranks' alone (the mesh).
inline void expect_like_one_rank(const SharedScratch& folder, const std::string& recipe,
                                 std::vector<std::string> overrides,
                                 const std::vector<std::string>& mesh = {},
                                 const std::string& precision = "f64") {
  const double tolerance = precision == "f64" ? kF64 : kF32;
  overrides.push_back("train.precision=" + precision);
  Recorder all;
  const OneRankRun* reference =
      world().rank() == 0 ? &one_rank_run(folder, recipe, overrides) : nullptr;
  std::vector<std::string> overrides_of_all = overrides;
  overrides_of_all.insert(overrides_of_all.end(), mesh.begin(), mesh.end());
  train_ranks(recipe, folder.path("all"), overrides_of_all, all, world());
  if (world().rank() != 0) {
    EXPECT_TRUE(all.steps.empty()) << "only rank 0 speaks";
    return;
  }
  const Recorder& one = reference->heard;
  ASSERT_EQ(all.steps.size(), one.steps.size());
  for (size_t i = 0; i < one.steps.size(); ++i) {
    EXPECT_NEAR(all.steps[i].loss, one.steps[i].loss, tolerance * one.steps[i].loss) << i;
    EXPECT_NEAR(all.steps[i].grad_norm, one.steps[i].grad_norm, tolerance * one.steps[i].grad_norm);
    EXPECT_EQ(all.steps[i].items, one.steps[i].items);
  }
  ASSERT_EQ(all.evals.size(), one.evals.size());
  for (size_t i = 0; i < one.evals.size(); ++i) {
    ASSERT_EQ(all.evals[i].metrics.size(), one.evals[i].metrics.size());
    for (size_t k = 0; k < one.evals[i].metrics.size(); ++k) {
      const auto& [name, value] = one.evals[i].metrics[k];
      EXPECT_NEAR(all.evals[i].metrics[k].second, value, tolerance * std::abs(value)) << name;
    }
  }
  ASSERT_EQ(all.samples.size(), one.samples.size());
  for (size_t i = 0; i < one.samples.size(); ++i) {
    EXPECT_EQ(all.samples[i].text, one.samples[i].text);
  }
  const CheckpointContent content = read_checkpoint(find_checkpoint(folder.path("all")).path);
  expect_close(content.model, reference->content.model, tolerance);
  expect_close(content.ema, reference->content.ema, tolerance);
  expect_close(content.optimizer, reference->content.optimizer, tolerance);
  EXPECT_EQ(content.state.mesh.ranks(), world().size());
}

// No biases: the gradient of a key's bias is zero but for rounding, which Adam scales up to a step.
inline const char* kGpt = R"(
name: gpt
seed: 3
data: {type: text, files: [text.txt], validation: 0.2, tokenizer: {type: bytes}}
model: {type: gpt, layers: 2, dim: 16, heads: 2, context: 8, bias: false}
train: {steps: 12, batch_size: 12, accumulation: 2, clip: 1.0, log_every: 1, eval_every: 6}
optimizer: {type: adamw, lr: 1e-2, weight_decay: 0.1}
evaluation: {batch_size: 12}
)";

inline const char* kEncoder = R"(
seed: 3
task: {type: masked_language_modeling}
data: {type: text, files: [text.txt], validation: 0.2, tokenizer: {type: chars}}
model: {type: encoder, layers: 2, dim: 16, heads: 2, context: 16, pooler: false, dropout: 0.1}
train: {steps: 12, batch_size: 12, accumulation: 2, clip: 1.0, ema: 0.9, log_every: 1,
        eval_every: 6}
optimizer: {type: sgd, lr: 0.1, momentum: 0.9}
evaluation: {batch_size: 12}
)";

inline const char* kVit = R"(
seed: 7
task: {type: classification}
data: {type: procedural-images, content: gratings, size: 16, train: 24, validation: 48, test: 48}
model: {type: vit, patch: 4, layers: 2, dim: 32, heads: 2, dropout: 0.1}
train: {steps: 12, batch_size: 24, clip: 1.0, ema: 0.9, log_every: 1, eval_every: 6}
optimizer:
  type: sgd
  lr: 0.2
  momentum: 0.9
  groups:
    - {pattern: "blocks.1.*", lr: 0.5, weight_decay: 0.1}
evaluation: {batch_size: 24}
)";

/// Writes a recipe and its text; the path.
inline std::string write_recipe(const SharedScratch& folder, const char* recipe) {
  if (world().rank() == 0) {
    folder.own().write("text.txt", tiny_text());
    folder.own().write("recipe.yaml", recipe);
  }
  world().barrier();
  return folder.path("recipe.yaml");
}

/// The recipe kGpt's path.
inline std::string write_gpt(const SharedScratch& folder) { return write_recipe(folder, kGpt); }

/// How many ranks share what a mesh with copies shares: two where the ranks pair off, else all.
inline int part_of_the_ranks() { return world().size() % 2 == 0 ? 2 : world().size(); }

/// A run that goes on from its middle: under the same mesh bit for bit as if it had not stopped; on
/// one rank, from one rank under the mesh, and under `other_mesh` where there is one, up to
/// rounding.
inline void expect_resumes(const char* recipe_text, std::vector<std::string> overrides,
                           const std::vector<std::string>& mesh,
                           const std::vector<std::string>& other_mesh = {}) {
  const SharedScratch folder;
  const std::string recipe = write_recipe(folder, recipe_text);
  overrides.insert(overrides.end(), {"schedule.type=constant", "train.precision=f64"});
  TrainObserver silent;
  const std::vector<std::string>* const one_rank = nullptr;
  const auto train_half = [&](const std::string& run, bool first,
                              const std::vector<std::string>* on) {
    std::vector<std::string> all = overrides;
    if (on != one_rank) all.insert(all.end(), on->begin(), on->end());
    if (first) all.push_back("train.steps=6");
    const auto self = self_communicator();
    if (on != one_rank || world().rank() == 0) {
      train_ranks(recipe, folder.path(run), all, silent, on == one_rank ? *self : world(), !first);
    }
    world().barrier();
  };
  std::vector<std::string> all = overrides;
  all.insert(all.end(), mesh.begin(), mesh.end());
  train_ranks(recipe, folder.path("whole"), all, silent, world());
  train_half("cut", true, &mesh);
  train_half("apart", true, one_rank);
  if (world().rank() == 0) {
    for (const char* run : {"alone", "other"}) {
      std::filesystem::copy(folder.path("cut"), folder.path(run),
                            std::filesystem::copy_options::recursive);
    }
  }
  world().barrier();
  train_half("cut", false, &mesh);
  train_half("alone", false, one_rank);
  train_half("apart", false, &mesh);
  std::vector<const char*> close = {"alone", "apart"};
  if (!other_mesh.empty()) {
    train_half("other", false, &other_mesh);
    close.push_back("other");
  }
  if (world().rank() != 0) return;
  const auto content = [&](const char* run) {
    return read_checkpoint(find_checkpoint(folder.path(run)).path);
  };
  const CheckpointContent want = content("whole");
  expect_same_bits(want.model, content("cut").model);
  expect_same_bits(want.optimizer, content("cut").optimizer);
  expect_same_bits(want.ema, content("cut").ema);
  for (const char* run : close) {
    expect_close(content(run).model, want.model, kF64);
    expect_close(content(run).optimizer, want.optimizer, kF64);
    expect_close(content(run).ema, want.ema, kF64);
  }
}

}  // namespace heed::recipes
