// Bad input of every kind: the place, a suggestion, exit status 2, and nothing written.
#include <gmock/gmock.h>

#include "heed_command.h"

namespace heed::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class WrongRequest : public CommandTest {
 protected:
  /// Every command that takes a recipe refuses this one, with all of the messages.
  void expect_refused(const std::string& recipe, const std::vector<std::string>& messages,
                      const std::vector<std::string>& overrides = {}) const {
    const std::vector<std::string> before = everything();
    for (const char* command : {"train", "describe", "bench"}) {
      std::vector<std::string> arguments = {command};
      if (arguments[0] == "bench") arguments.push_back("step");
      arguments.push_back(recipe);
      arguments.insert(arguments.end(), overrides.begin(), overrides.end());
      const Outcome outcome = heed(arguments);
      EXPECT_EQ(outcome.status, 2) << command;
      EXPECT_THAT(outcome.err, StartsWith("error: "));
      for (const std::string& message : messages) EXPECT_THAT(outcome.err, HasSubstr(message));
      EXPECT_EQ(outcome.out, "");
    }
    EXPECT_EQ(everything(), before);
  }

  /// The same for the tiny recipe with these lines over it.
  void expect_change_refused(const std::string& lines,
                             const std::vector<std::string>& messages) const {
    write_tiny_recipe("base.yaml");
    write("r.yaml", "extends: base.yaml\n" + lines);
    expect_refused("r.yaml", messages);
  }
};

TEST_F(WrongRequest, UnknownKeyIsPlacedAndCorrected) {
  expect_change_refused("train:\n  stepz: 5\n",
                        {"r.yaml:3:3: ", "'train.stepz'", "did you mean 'steps'?"});
}

TEST_F(WrongRequest, UnknownSectionIsPlacedAndCorrected) {
  expect_change_refused("optimiser: {lr: 1}\n", {"r.yaml:2:1: ", "did you mean 'optimizer'?"});
}

TEST_F(WrongRequest, UnknownKeyOfAModel) {
  expect_change_refused("model:\n  hedas: 4\n",
                        {"r.yaml:3:3: ", "'hedas'", "did you mean 'heads'?"});
}

TEST_F(WrongRequest, WrongTypeIsPlaced) {
  expect_change_refused("train:\n  steps: many\n", {"r.yaml:3:10: ", "steps", "integer"});
}

TEST_F(WrongRequest, OutOfRangeIsPlaced) {
  expect_change_refused("train: {batch_size: 0}\n", {"r.yaml:2:21: ", "batch_size"});
}

TEST_F(WrongRequest, ImpossibleShapeIsPlaced) {
  expect_change_refused("model:\n  heads: 3\n", {"r.yaml:3:", "heads", "16"});
}

TEST_F(WrongRequest, UnknownModelIsCorrected) {
  expect_change_refused("model:\n  type: gtp\n", {"r.yaml:3:9: ", "did you mean 'gpt'?"});
}

TEST_F(WrongRequest, UnknownDatasetIsCorrected) {
  expect_change_refused("data:\n  type: texts\n", {"r.yaml:3:9: ", "did you mean 'text'?"});
}

TEST_F(WrongRequest, OverrideIsNamed) {
  write_tiny_recipe("r.yaml");
  expect_refused("r.yaml", {"override 'train.stepz=5'", "did you mean 'steps'?"},
                 {"train.stepz=5"});
  expect_refused("r.yaml", {"override 'train.steps=x'", "integer"}, {"train.steps=x"});
}

TEST_F(WrongRequest, MissingRecipeSuggestsTheNearest) {
  write_tiny_recipe("quick.yaml");
  expect_refused("quikc.yaml", {"quikc.yaml", "No such file", "did you mean 'quick.yaml'?"});
}

TEST_F(WrongRequest, MissingTextIsPlaced) {
  expect_change_refused("data:\n  files: [texts.txt]\n", {"r.yaml:3:", "texts.txt"});
}

TEST_F(WrongRequest, EmptyTextIsPlaced) {
  write("empty.txt", "");
  expect_change_refused("data:\n  files: [empty.txt]\n", {"r.yaml:3:", "empty.txt"});
}

TEST_F(WrongRequest, TextShorterThanTheContextIsPlaced) {
  write("short.txt", "short");
  expect_change_refused("data:\n  files: [short.txt]\n", {"base.yaml:11:12: ", "context"});
}

TEST_F(WrongRequest, UnsetEnvironmentVariableIsPlaced) {
  expect_change_refused("data:\n  files: ['${HEED_NO_SUCH_VARIABLE}/x.txt']\n",
                        {"r.yaml:3:", "HEED_NO_SUCH_VARIABLE"});
}

TEST_F(WrongRequest, CyclicExtendsNamesTheChain) {
  write("a.yaml", "extends: b.yaml\n");
  write("b.yaml", "extends: a.yaml\n");
  expect_refused("a.yaml", {"a.yaml", "b.yaml:1:10: ", "extends"});
}

TEST_F(WrongRequest, BrokenYamlIsPlaced) {
  write("r.yaml", "train:\n  steps: [1, 2\n");
  expect_refused("r.yaml", {"r.yaml:"});
  write("twice.yaml", "seed: 1\nseed: 2\n");
  expect_refused("twice.yaml", {"twice.yaml:2:1: ", "seed"});
}

TEST_F(WrongRequest, MalformedSafetensorsAreNamed) {
  const std::vector<std::pair<std::string, std::string>> files = {
      {"empty.safetensors", ""},
      {"short.safetensors", std::string("\x05\x00\x00", 3)},
      {"huge.safetensors", std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10)},
      {"text.safetensors", std::string("\x04\x00\x00\x00\x00\x00\x00\x00nope", 12)},
  };
  for (const auto& [name, bytes] : files) write(name, bytes);
  const std::vector<std::string> before = everything();
  for (const auto& [name, bytes] : files) {
    const Outcome outcome = heed({"probe", "linear", "--config", "{in: 2, out: 3}", "--weights",
                                  name, "--out", "result.safetensors"});
    EXPECT_EQ(outcome.status, 2) << name;
    EXPECT_THAT(outcome.err, StartsWith("error: " + name + ":"));
  }
  EXPECT_EQ(everything(), before);
}

TEST_F(WrongRequest, ProbeOfImpossibleOptionsWritesNothing) {
  const Outcome outcome =
      heed({"probe", "linear", "--config", "{in: -1, out: 3}", "--out", "result.safetensors"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--config:1:"));
  EXPECT_TRUE(everything().empty());
}

TEST_F(WrongRequest, FolderWithoutARunIsNamed) {
  write("notes/readme.txt", "no run here");
  const std::vector<std::string> before = everything();
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"eval", "notes"},
                                                    {"generate", "notes", "--prompt", "x"},
                                                    {"export", "notes", "exported"},
                                                    {"report", "notes"},
                                                    {"eval", "nowhere"}}) {
    const Outcome outcome = heed(arguments);
    EXPECT_EQ(outcome.status, 2) << arguments[0];
    EXPECT_THAT(outcome.err, HasSubstr(arguments[1]));
  }
  EXPECT_EQ(everything(), before);
}

}  // namespace
}  // namespace heed::tools
