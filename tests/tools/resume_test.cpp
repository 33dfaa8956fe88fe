// A run that was killed goes on as if nothing had happened.
#include <gmock/gmock.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "heed_command.h"

namespace heed::tools {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr char kModel[] = "/checkpoints/step-00000060/model.safetensors";

class Resume : public CommandTest {
 protected:
  std::vector<std::string> command(const std::string& folder) const {
    return {"train", "tiny.yaml", "train.steps=60", "model.dropout=0.1", "--out", folder};
  }

  void train(const std::string& folder) const {
    write_tiny_recipe("tiny.yaml");
    const Outcome outcome = heed(command(folder));
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }

  /// Starts a run and ends it with the signal once the checkpoint of that step is there.
  Outcome stop_at(const std::string& folder, const std::string& step, int signal) const {
    write_tiny_recipe("tiny.yaml");
    const pid_t process = start(command(folder));
    const fs::path checkpoint = path(folder + "/checkpoints/step-" + step);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (!fs::exists(checkpoint) && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    EXPECT_TRUE(fs::exists(checkpoint));
    kill(process, signal);
    const Outcome outcome = wait_for(process);
    EXPECT_FALSE(exists(folder + kModel)) << "the run ended before it was stopped";
    return outcome;
  }

  Outcome resume(const std::string& folder) const {
    std::vector<std::string> arguments = command(folder);
    arguments.push_back("--resume");
    return heed(arguments);
  }

  void flip_byte(const std::string& name, int64_t from_end) const {
    std::fstream file(path(name), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(-from_end, std::ios::end);
    const char byte = static_cast<char>(file.get() ^ 0x10);
    file.seekp(-from_end, std::ios::end);
    file.put(byte);
  }
};

TEST_F(Resume, AfterKill9GivesTheSameModelBitForBit) {
  train("whole");
  const Outcome killed = stop_at("killed", "00000010", SIGKILL);
  EXPECT_EQ(killed.status, 128 + SIGKILL);
  const Outcome resumed = resume("killed");
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("going on from killed/checkpoints/step-"));
  expect_same_tensors(path(std::string("whole") + kModel), path(std::string("killed") + kModel));
}

TEST_F(Resume, AfterAnInterruptGivesTheSameModelBitForBit) {
  train("whole");
  const Outcome interrupted = stop_at("stopped", "00000010", SIGINT);
  EXPECT_EQ(interrupted.status, 1);
  EXPECT_THAT(interrupted.err, HasSubstr("--resume"));
  const Outcome resumed = resume("stopped");
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  expect_same_tensors(path(std::string("whole") + kModel), path(std::string("stopped") + kModel));
}

TEST_F(Resume, PassesOverADamagedCheckpoint) {
  train("whole");
  stop_at("damaged", "00000010", SIGKILL);
  // The kill may have come a checkpoint later: damage the last one that is whole.
  std::vector<std::string> steps;
  for (const std::string& name : everything()) {
    if (name.starts_with("damaged/checkpoints/step-") && name.find('/', 21) == std::string::npos) {
      steps.push_back(name);
    }
  }
  ASSERT_GE(steps.size(), 2u);
  flip_byte(steps.back() + "/model.safetensors", 9);
  const Outcome resumed = resume("damaged");
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("warning: "));
  EXPECT_THAT(resumed.err, HasSubstr(steps.back()));
  EXPECT_THAT(resumed.err, HasSubstr("model.safetensors"));
  EXPECT_THAT(resumed.out, HasSubstr("going on from " + steps[steps.size() - 2]));
  expect_same_tensors(path(std::string("whole") + kModel), path(std::string("damaged") + kModel));
}

TEST_F(Resume, NamesWhatIsCutShort) {
  train("run");
  const std::string checkpoint = "run/checkpoints/step-00000060";
  fs::resize_file(path(checkpoint + "/optimizer.safetensors"), 100);
  const Outcome by_name = heed({"eval", checkpoint});
  EXPECT_EQ(by_name.status, 2);
  EXPECT_THAT(by_name.err, HasSubstr("optimizer.safetensors"));
  const Outcome latest = heed({"eval", "run", "--json"});
  EXPECT_EQ(latest.status, 0) << latest.err;
  EXPECT_THAT(latest.err, HasSubstr("warning: "));
  EXPECT_EQ(parse_document(latest.out)["step"], 55);
}

}  // namespace
}  // namespace heed::tools
