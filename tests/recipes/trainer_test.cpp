#include "recipes/engine/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <functional>
#include <map>

#include "recipes/engine/checkpoint.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/metrics.h"
#include "tests/core/raises.h"
#include "tests/recipes/runs.h"
#include "tests/recipes/tiny.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

TEST(Trainer, LearnsAndWritesItsFolder) {
  const Scratch folder;
  write_tiny(folder);
  Recorder recorder;
  const EndReport end = train_tiny(folder, "run", {"train.steps=60"}, false, &recorder);
  EXPECT_EQ(recorder.steps.size(), 60u);
  EXPECT_LT(recorder.steps.back().loss, 0.75 * recorder.steps.front().loss);
  EXPECT_NEAR(recorder.steps.front().loss, std::log(257.0), 0.1);  // knows nothing yet
  EXPECT_EQ(recorder.steps.back().items, 60 * 3 * 2 * 8);
  EXPECT_EQ(recorder.evals.size(), 15u);
  ASSERT_EQ(recorder.baselines.size(), 4u);
  EXPECT_EQ(recorder.baselines[2].first, "3-gram.loss");
  EXPECT_EQ(end.step, 60);
  EXPECT_FALSE(end.interrupted);
  EXPECT_EQ(end.metrics.front().first, "loss");
  EXPECT_TRUE(fs::exists(folder.path("run/recipe.yaml")));
  EXPECT_TRUE(fs::exists(end.checkpoint + "/tokenizer.json"));
  EXPECT_EQ(list_checkpoints(folder.path("run")).back().step, 60);
}

TEST(Trainer, RunsAgainBitForBit) {
  const Scratch folder;
  write_tiny(folder);
  train_tiny(folder, "a");
  train_tiny(folder, "b");
  expect_same_run(folder.path("a"), folder.path("b"));
}

TEST(Trainer, ResumesBitForBitWhereverItStopped) {
  const Scratch folder;
  write_tiny(folder);
  train_tiny(folder, "whole");
  for (const int64_t at : {1, 3, 4, 7, 11}) {  // before, at and after the checkpoints
    const std::string run = "cut-" + std::to_string(at);
    Recorder crashing;
    crashing.after_step = [at](const StepReport& report) {
      if (report.step == at) throw Crash();
    };
    EXPECT_THROW(train_tiny(folder, run, {}, false, &crashing), Crash);
    Recorder going_on;
    train_tiny(folder, run, {}, true, &going_on);
    EXPECT_EQ(going_on.steps.front().step, (at - 1) / 4 * 4 + 1) << "from the last checkpoint";
    expect_same_run(folder.path("whole"), folder.path(run));
  }
}

TEST(Trainer, ResumesFromTheCheckpointBeforeADamagedOne) {
  const Scratch folder;
  write_tiny(folder);
  train_tiny(folder, "whole");
  train_tiny(folder, "cut", {"train.steps=12"});
  const std::string last = find_checkpoint(folder.path("cut")).path;
  std::string bytes = slurp(last + "/optimizer.safetensors");
  bytes.back() = static_cast<char>(bytes.back() ^ 4);
  spit(last + "/optimizer.safetensors", bytes);
  Recorder recorder;
  train_tiny(folder, "cut", {}, true, &recorder);
  ASSERT_EQ(recorder.warnings.size(), 1u);
  EXPECT_THAT(recorder.warnings[0], AllOf(HasSubstr(last + "/optimizer.safetensors is damaged"),
                                          HasSubstr("trying the checkpoint of step 8")));
  expect_same_run(folder.path("whole"), folder.path("cut"));
}

TEST(Trainer, ASignalEndsTheStepAndTheRunGoesOnFromThere) {
  const Scratch folder;
  write_tiny(folder);
  train_tiny(folder, "whole");
  TrainRequest request;
  request.recipe = load_recipe(folder.path("tiny.yaml"));
  request.run_dir = folder.path("cut");
  request.handle_signals = true;
  for (const int number : {SIGTERM, SIGINT}) {
    Recorder recorder;
    recorder.after_step = [&](const StepReport& report) {
      if (report.step == (request.resume ? 9 : 6)) std::raise(number);
    };
    const EndReport end = train(request, recorder);
    EXPECT_TRUE(end.interrupted);
    EXPECT_EQ(end.step, request.resume ? 9 : 6);
    EXPECT_EQ(find_checkpoint(request.run_dir).path, end.checkpoint);
    request.resume = true;
  }
  TrainObserver silent;
  EXPECT_FALSE(train(request, silent).interrupted);
  // Checkpoints at other steps change nothing but which ones are left.
  expect_same_run(folder.path("whole"), folder.path("cut"));
}

TEST(Trainer, LongerRunGoesOnFromAFinishedOne) {
  const Scratch folder;
  write_tiny(folder);
  train_tiny(folder, "run", {"schedule.type=constant"});
  Recorder recorder;
  const EndReport end =
      train_tiny(folder, "run", {"schedule.type=constant", "train.steps=15"}, true, &recorder);
  ASSERT_EQ(recorder.warnings.size(), 1u);
  EXPECT_THAT(recorder.warnings[0], HasSubstr("was trained with: train.steps: 12 -> 15"));
  train_tiny(folder, "at-once", {"schedule.type=constant", "train.steps=15"});
  EXPECT_EQ(end.step, 15);
  expect_same_bits(read_checkpoint(end.checkpoint).model,
                   read_checkpoint(find_checkpoint(folder.path("at-once")).path).model);
}

TEST(Trainer, ResumingAFinishedRunChangesNothing) {
  const Scratch folder;
  write_tiny(folder);
  const EndReport end = train_tiny(folder, "run");
  const std::string metrics = slurp(folder.path("run/metrics.jsonl"));
  const EndReport again = train_tiny(folder, "run", {}, true);
  EXPECT_EQ(again.metrics, end.metrics);
  EXPECT_EQ(again.checkpoint, end.checkpoint);
  EXPECT_EQ(slurp(folder.path("run/metrics.jsonl")), metrics);
}

TEST(Trainer, RefusesAFolderThatHoldsARun) {
  const Scratch folder;
  write_tiny(folder);
  train_tiny(folder, "run", {"train.steps=4"});
  const std::string before = slurp(folder.path("run/metrics.jsonl"));
  EXPECT_THAT(request_error([&] { train_tiny(folder, "run", {"train.steps=4"}); }),
              HasSubstr("holds a run already"));
  EXPECT_EQ(slurp(folder.path("run/metrics.jsonl")), before);
}

TEST(Trainer, WrongRecipesLeaveNothingBehind) {
  const Scratch folder;
  write_tiny(folder);
  for (const char* wrong :
       {"model.heads=3", "model.context=100000", "data.files=[absent.txt]",
        "optimizer.groups=[{pattern: 'nothing.*', lr: 2}]", "schedule.warmup_steps=100"}) {
    EXPECT_NE(request_error([&] { train_tiny(folder, "run", {wrong}); }), "no error") << wrong;
    EXPECT_FALSE(fs::exists(folder.path("run"))) << wrong;
  }
}

TEST(Trainer, AccumulationEqualsTheBigBatch) {
  const Scratch folder;
  write_tiny(folder);
  // By SGD nothing but the order of sums differs: a row's dropout does not depend on its part.
  const std::vector<std::string> plain = {"model.dropout=0.2",  "train.ema=0",
                                          "optimizer.type=sgd", "optimizer.weight_decay=0",
                                          "train.steps=5",      "train.eval_every=0"};
  const auto run = [&](const std::string& out, const char* batch, const char* accumulation) {
    std::vector<std::string> overrides = plain;
    overrides.push_back(std::string("train.batch_size=") + batch);
    overrides.push_back(std::string("train.accumulation=") + accumulation);
    Recorder recorder;
    train_tiny(folder, out, overrides, false, &recorder);
    return recorder.steps;
  };
  const auto big = run("big", "12", "1"), small = run("small", "3", "4");
  ASSERT_EQ(big.size(), small.size());
  for (size_t i = 0; i < big.size(); ++i) {
    // f32 sums over 96 targets: a relative error of about 96 * 2^-24 = 6e-6 at most.
    EXPECT_NEAR(big[i].loss, small[i].loss, 6e-6 * big[i].loss);
    EXPECT_NEAR(big[i].grad_norm, small[i].grad_norm, 1e-4 * big[i].grad_norm);
  }
  const auto a = read_checkpoint(find_checkpoint(folder.path("big")).path).model;
  const auto b = read_checkpoint(find_checkpoint(folder.path("small")).path).model;
  for (size_t i = 0; i < a.size(); ++i) {
    const auto x = a[i].second.to_vector<float>(), y = b[i].second.to_vector<float>();
    for (size_t j = 0; j < x.size(); ++j) EXPECT_NEAR(x[j], y[j], 1e-6) << a[i].first;
  }
}

TEST(Trainer, StopsAtNonfiniteAndNamesOpAndParameter) {
  const Scratch folder;
  write_tiny(folder);
  std::string message;
  try {
    train_tiny(folder, "run",
               {"optimizer.type=sgd", "optimizer.lr=1e30", "schedule.min_lr=0", "train.clip=0",
                "train.checkpoint_every=1", "schedule.warmup_steps=0"});
  } catch (const Error& error) {
    message = error.what();
  }
  EXPECT_THAT(message, AllOf(HasSubstr("the first bad tensor is an output of '"),
                             HasSubstr("the first parameter with a bad gradient is '"),
                             HasSubstr("the last checkpoint is " + folder.path("run"))));
  EXPECT_EQ(verify_checkpoint(find_checkpoint(folder.path("run")).path), "");
}

TEST(Trainer, SkipsNonfiniteStepsWhenAskedButNotForever) {
  const Scratch folder;
  write_tiny(folder);
  Recorder recorder;
  EXPECT_THROW(train_tiny(folder, "run",
                          {"optimizer.type=sgd", "optimizer.lr=1e30", "schedule.min_lr=0",
                           "train.clip=0", "train.on_nonfinite=skip", "train.steps=100",
                           "train.eval_every=0", "schedule.warmup_steps=0"},
                          false, &recorder),
               Error);
  EXPECT_EQ(recorder.warnings.size(), 20u);
  EXPECT_THAT(recorder.warnings[0], HasSubstr("the step is skipped"));
}

TEST(Trainer, TrainsInBf16NearF32) {
  const Scratch folder;
  write_tiny(folder);
  Recorder f32, bf16;
  train_tiny(folder, "f32", {"train.steps=30"}, false, &f32);
  train_tiny(folder, "bf16", {"train.steps=30", "train.precision=bf16"}, false, &bf16);
  // Activations carry 8 bits: the first loss, before any step, within 2^-8.
  EXPECT_NEAR(bf16.steps[0].loss, f32.steps[0].loss, f32.steps[0].loss / 256);
  EXPECT_NE(bf16.steps[0].loss, f32.steps[0].loss);
  EXPECT_LT(bf16.steps.back().loss, 0.85 * bf16.steps.front().loss);
  const auto content = read_checkpoint(find_checkpoint(folder.path("bf16")).path);
  for (const auto& [name, tensor] : content.model) EXPECT_EQ(tensor.dtype(), DType::f32) << name;
}

TEST(Trainer, SamplingChangesNothingOfTheTraining) {
  const Scratch folder;
  write_tiny(folder);
  train_tiny(folder, "plain");
  Recorder recorder;
  train_tiny(folder, "sampling", {"samples.every=3", "samples.max_tokens=20", "samples.count=2"},
             false, &recorder);
  EXPECT_EQ(recorder.samples.size(), 8u);
  expect_same_bits(read_checkpoint(find_checkpoint(folder.path("plain")).path).model,
                   read_checkpoint(find_checkpoint(folder.path("sampling")).path).model);
}

TEST(Trainer, KeepsTheLastCheckpointsAndTheBest) {
  const Scratch folder;
  write_tiny(folder);
  const EndReport end =
      train_tiny(folder, "run",
                 {"train.checkpoint_every=2", "train.keep_checkpoints=2", "train.eval_every=4"});
  std::vector<int64_t> steps;
  for (const CheckpointInfo& info : list_checkpoints(folder.path("run"))) {
    steps.push_back(info.step);
  }
  std::vector<int64_t> expected = {10, 12};
  if (end.best_step < 10) expected.insert(expected.begin(), end.best_step);
  EXPECT_EQ(steps, expected);
}

TEST(Trainer, SmokeRecipeRunsFromTheProjectsOwnText) {
  const Scratch folder;
  TrainRequest request;
  request.recipe = load_recipe(HEED_SOURCE_DIR "/recipes/base/smoke.yaml");
  request.run_dir = folder.path("smoke");
  Recorder recorder;
  const EndReport end = train(request, recorder);
  EXPECT_EQ(end.step, 20);
  EXPECT_LT(recorder.steps.back().loss, recorder.steps.front().loss);
  EXPECT_EQ(recorder.samples.size(), 2u);
}

}  // namespace
}  // namespace heed::recipes
