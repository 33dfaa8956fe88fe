// Recipes with `device: cuda`: the trainer as a whole, evaluation, samples and checkpoints too.
#include "recipes/engine/recipe.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "core/device_runtime.h"
#include "tests/cuda/device_under_test.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Of the sources, or where these are not, of the recipes beside the program (tools/bundle).
std::string find_smoke() {
  namespace fs = std::filesystem;
  const fs::path program = fs::read_symlink("/proc/self/exe").parent_path();
  const std::string name = "recipes/base/smoke.yaml";
  for (const fs::path& root : {fs::path(HEED_SOURCE_DIR), program / "..", program / "../.."}) {
    if (fs::exists(root / name)) return (root / name).string();
  }
  return name;
}
const std::string kSmoke = find_smoke();
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
