// kill -9 at arbitrary moments, then --resume: the parameters are those of a run left alone.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "recipes/engine/checkpoint.h"
#include "tests/core/replaced.h"
#include "tests/recipes/tiny.h"

extern char** environ;

namespace heed::recipes {
namespace {

constexpr const char* kFolder = "HEED_KILL_TEST_FOLDER";
const std::vector<std::string> kRecipe = {"train.steps=120", "train.checkpoint_every=5",
                                          "train.eval_every=40", "train.log_every=1"};

/// The process that is killed: this program again, running this test alone.
TEST(Killed, DISABLED_TrainsUntilItsEnd) {
  const char* folder = std::getenv(kFolder);
  if (folder == nullptr) GTEST_SKIP() << "run by Killed.ResumesBitForBit";
  TrainRequest request;
  request.recipe = load_recipe(std::string(folder) + "/tiny.yaml", kRecipe);
  request.run_dir = std::string(folder) + "/killed";
  request.resume = true;
  TrainObserver silent;
  train(request, silent);
}

pid_t start_child(const std::string& folder) {
  const ReplacedVariable variable(kFolder, folder);
  std::string program = "/proc/self/exe";
  std::string filter = "--gtest_filter=Killed.DISABLED_TrainsUntilItsEnd";
  std::string disabled = "--gtest_also_run_disabled_tests";
  std::string quiet = "--gtest_brief=1";
  char* arguments[] = {program.data(), filter.data(), disabled.data(), quiet.data(), nullptr};
  pid_t child = 0;
  EXPECT_EQ(posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ), 0);
  return child;
}

size_t lines_of(const std::string& path) {
  const std::string text = slurp(path);
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

/// Waits until the child has written `lines` more lines, then kills it; false when it had ended.
bool kill_after(pid_t child, const std::string& metrics, size_t lines) {
  const size_t before = lines_of(metrics);
  int status = 0;
  while (lines_of(metrics) < before + lines) {
    if (waitpid(child, &status, WNOHANG) == child) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return WIFSIGNALED(status);
}

TEST(Killed, ResumesBitForBit) {
  const Scratch folder;
  write_tiny(folder);
  const std::string metrics = folder.path("killed/metrics.jsonl");
  int kills = 0;
  for (const size_t lines : {7, 13, 22}) {
    kills += kill_after(start_child(folder.path()), metrics, lines);
  }
  EXPECT_GE(kills, 2);  // a machine so fast that the child ended first would test nothing
  int status = 0;
  waitpid(start_child(folder.path()), &status, 0);
  ASSERT_EQ(status, 0);

  train_tiny(folder, "whole", kRecipe);
  const auto whole = read_checkpoint(find_checkpoint(folder.path("whole")).path);
  const auto killed = read_checkpoint(find_checkpoint(folder.path("killed")).path);
  ASSERT_EQ(whole.state.step, killed.state.step);
  for (size_t i = 0; i < whole.model.size(); ++i) {
    EXPECT_TRUE(same_bits(whole.model[i].second, killed.model[i].second)) << whole.model[i].first;
    EXPECT_TRUE(same_bits(whole.ema[i].second, killed.ema[i].second));
  }
  EXPECT_EQ(lines_of(metrics), lines_of(folder.path("whole/metrics.jsonl")));
}

}  // namespace
}  // namespace heed::recipes
