// Recipes with `device: cuda`: the trainer as a whole, evaluation, samples and checkpoints too.
#include "recipes/engine/recipe.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <ostream>

#include "core/device_runtime.h"
#include "tests/cuda/device_under_test.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Of the sources, or where these are not, of the recipes beside the program (tools/bundle).
std::string find_recipe(const std::string& file) {
  namespace fs = std::filesystem;
  const fs::path program = fs::read_symlink("/proc/self/exe").parent_path();
  const std::string name = "recipes/base/" + file;
  for (const fs::path& root : {fs::path(HEED_SOURCE_DIR), program / "..", program / "../.."}) {
    if (fs::exists(root / name)) return (root / name).string();
  }
  return name;
}
const std::string kSmoke = find_recipe("smoke.yaml");
const std::vector<std::string> kShort = {
    "train.steps=6",   "train.eval_every=3",   "train.checkpoint_every=3",
    "samples.every=6", "samples.max_tokens=4", "evaluation.max_batches=2"};

std::vector<std::string> with(std::vector<std::string> overrides, const std::string& more) {
  overrides.push_back(more);
  return overrides;
}

// f32 sums in another order, through 6 updates of at most 0.003: the bound of training_test.cpp.
constexpr double kTolerance = 1e-4;

void expect_near(double got, double want, const std::string& what) {
  EXPECT_NEAR(got, want, kTolerance * want) << what;
}

TEST(DeviceRecipe, TrainsAsOnTheCpu) {
  const Scratch folder;
  heed::testing::run_in_way(0);
  Recorder cpu, cuda;
  train_file(kSmoke, folder.path("cpu"), kShort, false, &cpu);
  const auto before = heed::testing::launches();
  const EndReport end =
      train_file(kSmoke, folder.path("cuda"), with(kShort, "device=cuda"), false, &cuda);
  if (before) {
    EXPECT_GT(*heed::testing::launches() - *before, 6 * 2 * 20) << "it ran on the device";
  }
  ASSERT_EQ(cuda.steps.size(), 6u);
  EXPECT_LT(cuda.steps.back().loss, cuda.steps.front().loss);
  for (size_t i = 0; i < 6; ++i) {
    expect_near(cuda.steps[i].loss, cpu.steps[i].loss, fmt::format("loss of step {}", i + 1));
    expect_near(cuda.steps[i].grad_norm, cpu.steps[i].grad_norm,
                fmt::format("gradient norm of step {}", i + 1));
  }
  EXPECT_GT(cuda.steps.back().peak_bytes, 0);
  ASSERT_EQ(cuda.evals.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_EQ(cuda.evals[i].metrics.size(), cpu.evals[i].metrics.size());
    for (size_t m = 0; m < cuda.evals[i].metrics.size(); ++m) {
      expect_near(cuda.evals[i].metrics[m].second, cpu.evals[i].metrics[m].second,
                  cuda.evals[i].metrics[m].first);
    }
  }
  EXPECT_EQ(cuda.samples.size(), cpu.samples.size());

  // either device goes on from the other's checkpoint
  EXPECT_FALSE(read_checkpoint(end.checkpoint).ema.empty());
  std::vector<double> next;
  for (const std::string device : {"cpu", "cuda"}) {
    const std::string run = folder.path("on-" + device);
    std::filesystem::copy(folder.path("cuda"), run, std::filesystem::copy_options::recursive);
    std::vector<std::string> longer = with(kShort, "device=" + device);
    longer[0] = "train.steps=7";
    Recorder on;
    train_file(kSmoke, run, longer, true, &on);
    ASSERT_EQ(on.steps.size(), 1u);
    next.push_back(on.steps[0].loss);
  }
  expect_near(next[1], next[0], "loss of the step after a resumption");
}

// The other tasks: two short steps, evaluated, sampled where they make samples, and resumed.
struct OtherTask {
  std::string recipe;
  std::vector<std::string> overrides;
};

void PrintTo(const OtherTask& task, std::ostream* out) { *out << task.recipe; }

class DeviceTask : public ::testing::TestWithParam<OtherTask> {};

void expect_trains_as_on_the_cpu(const std::string& recipe, const std::vector<std::string>& more,
                                 const Scratch& folder) {
  heed::testing::run_in_way(0);
  std::vector<std::string> overrides = {
      "train.steps=2",           "train.batch_size=4",       "train.accumulation=1",
      "train.eval_every=2",      "train.checkpoint_every=2", "schedule.warmup_steps=0",
      "evaluation.batch_size=4", "evaluation.max_batches=1"};
  overrides.insert(overrides.end(), more.begin(), more.end());
  Recorder cpu, cuda;
  train_file(recipe, folder.path("cpu"), overrides, false, &cpu);
  train_file(recipe, folder.path("cuda"), with(overrides, "device=cuda"), false, &cuda);
  ASSERT_EQ(cuda.steps.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    expect_near(cuda.steps[i].loss, cpu.steps[i].loss, fmt::format("loss of step {}", i + 1));
    expect_near(cuda.steps[i].grad_norm, cpu.steps[i].grad_norm,
                fmt::format("gradient norm of step {}", i + 1));
  }
  ASSERT_EQ(cuda.evals.size(), 1u);
  ASSERT_EQ(cpu.evals.size(), 1u);
  expect_near(cuda.evals[0].metrics[0].second, cpu.evals[0].metrics[0].second, "held-out loss");
  EXPECT_EQ(cuda.samples.size(), cpu.samples.size());
  EXPECT_EQ(cuda.baselines.size(), cpu.baselines.size());
  overrides[0] = "train.steps=3";
  Recorder next;
  train_file(recipe, folder.path("cuda"), with(overrides, "device=cuda"), true, &next);
  EXPECT_EQ(next.steps.size(), 1u);
}

TEST_P(DeviceTask, TrainsAsOnTheCpu) {
  const Scratch folder;
  expect_trains_as_on_the_cpu(find_recipe(GetParam().recipe), GetParam().overrides, folder);
}

const OtherTask kOtherTasks[] = {
    {"smoke-classification.yaml", {"data.train=32", "data.validation=8"}},
    {"smoke-regression.yaml", {"data.train=32", "data.validation=8"}},
    {"smoke-segmentation.yaml", {"data.train=16", "samples.every=2", "samples.count=1"}},
    {"smoke-denoising.yaml", {"samples.every=2", "samples.count=1", "task.evaluation_times=1"}},
    {"smoke-restoration.yaml", {"data.images.train=16", "samples.every=2", "samples.count=1"}},
    {"smoke-seq2seq.yaml", {"samples.every=2", "samples.max_tokens=3"}},
    {"sequences-smoke.yaml", {"model.dim=16"}}};

INSTANTIATE_TEST_SUITE_P(Of, DeviceTask, ::testing::ValuesIn(kOtherTasks), [](const auto& of) {
  std::string name = of.param.recipe.substr(0, of.param.recipe.find('.'));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(DeviceRecipe, TextsOfManyLengthsAreClassified) {
  const Scratch folder;
  for (const std::string name : {"one", "two"}) {
    std::ofstream lines(folder.path(name + ".txt"));
    for (int i = 0; i < 20; ++i)
      lines << name << (i % 3 == 0 ? " short\n" : " and a longer line\n");
  }
  const std::string recipe = folder.path("texts.yaml");
  std::ofstream(recipe) << R"(name: texts
task: {type: classification}
data:
  type: sentences
  files: [one.txt, two.txt]
  classes: [one, two]
  max_length: 8
  hold_out: 0.2
  tokenizer: {type: words, vocab_size: 300, min_count: 1}
model: {type: gru_classifier, dim: 8, hidden: 8, layers: 1, pool: mean, dropout: 0.0}
optimizer: {type: adamw, lr: 0.01}
)";
  expect_trains_as_on_the_cpu(recipe, {}, folder);
}

TEST(DeviceRecipe, ADeviceThatIsNotThereIsNamed) {
  const auto error = [](const std::string& device) {
    return request_error([&] { load_recipe(kSmoke, {"device=" + device}); });
  };
  EXPECT_EQ(error("cuda"), "no error");
  const int count = device_runtime(heed::testing::kDevice, "test").device_count();
  const std::string none = fmt::format("cuda:{}", count);
  EXPECT_THAT(error(none), AllOf(StartsWith("override 'device=" + none + "': "),
                                 HasSubstr("there is no " + none)));
}

}  // namespace
}  // namespace heed::recipes
