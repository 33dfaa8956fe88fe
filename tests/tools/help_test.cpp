#include <gmock/gmock.h>

#include <sstream>

#include "heed_command.h"

namespace heed::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::vector<std::string> kCommands = {"train",  "eval",   "generate", "export",   "average",
                                            "import", "report", "list",     "describe", "probe",
                                            "bench",  "schema", "doctor",   "reproduce"};

class Help : public CommandTest {
 protected:
  void expect_good_help(const std::vector<std::string>& command) const {
    std::vector<std::string> arguments = command;
    arguments.push_back("--help");
    std::string name = "heed";
    for (const std::string& word : command) name += " " + word;
    SCOPED_TRACE(name);
    const Outcome help = heed(arguments);
    EXPECT_EQ(help.status, 0);
    EXPECT_EQ(help.err, "");
    EXPECT_THAT(help.out, StartsWith(name + ": "));
    EXPECT_THAT(help.out, HasSubstr("\nusage: " + name));
    EXPECT_THAT(help.out, HasSubstr("\noptions:\n"));
    EXPECT_THAT(help.out, HasSubstr("-h, --help"));
    std::istringstream lines(help.out);
    for (std::string line; std::getline(lines, line) && line != "examples:";) {
      EXPECT_LE(line.size(), 100u) << line;
    }
  }
};

TEST_F(Help, OfEveryCommandIsComplete) {
  for (const std::string& command : kCommands) expect_good_help({command});
  expect_good_help({"bench", "step"});
  expect_good_help({"bench", "attention"});
  expect_good_help({"bench", "device"});
  expect_good_help({"bench", "ops"});
}

TEST_F(Help, OfHeedNamesEveryCommand) {
  expect_good_help({});
  const std::string help = heed({"--help"}).out;
  for (const std::string& command : kCommands) EXPECT_THAT(help, HasSubstr("\n  " + command + " "));
}

TEST_F(Help, StatesTheContractOfTrain) {
  EXPECT_THAT(heed({"train", "--help"}).out,
              HasSubstr("usage: heed train RECIPE [key=value ...] [options]"));
}

TEST_F(Help, WithoutACommandIsAWrongRequest) {
  const Outcome outcome = heed({});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("usage: heed COMMAND"));
}

TEST_F(Help, VersionIsOneLine) {
  const Outcome outcome = heed({"--version"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, StartsWith("heed "));
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1);
}

TEST_F(Help, WrongCommandLinesSayWhatWasMeant) {
  struct Case {
    std::vector<std::string> arguments;
    std::string message;
  };
  const std::vector<Case> cases = {
      {{"trian"}, "error: heed: unknown command 'trian' (did you mean 'train'?)"},
      {{"train"}, "error: heed train: RECIPE is missing"},
      {{"train", "a.yaml", "--resmue"},
       "error: heed train: unknown option '--resmue' (did you mean '--resume'?)"},
      {{"train", "a.yaml", "--out"}, "error: heed train: --out needs a value"},
      {{"generate", "run", "--max-tokens", "many"},
       "error: heed generate: --max-tokens takes a number, not 'many'"},
      {{"bench"}, "error: heed bench: a command is missing"},
      {{"bench", "stop"}, "error: heed bench: unknown command 'stop' (did you mean 'step'?)"},
      {{"bench", "step", "a.yaml", "--steps", "0"}, "error: heed bench step: --steps"},
      {{"doctor", "now"}, "error: heed doctor: unexpected argument 'now'"},
      {{"list", "layer"}, "error: list: there are no 'layer' (did you mean 'layers'?)"},
      {{"probe", "liner", "--out", "x"}, "(did you mean 'linear'?)"},
      {{"train", "a.yaml", "--resume", "--force"}, "error: train: --resume goes on"},
  };
  for (const Case& wrong : cases) {
    const Outcome outcome = heed(wrong.arguments);
    EXPECT_EQ(outcome.status, 2) << wrong.message;
    EXPECT_THAT(outcome.err, HasSubstr(wrong.message));
    EXPECT_EQ(outcome.out, "");
  }
  EXPECT_TRUE(everything().empty());
}

}  // namespace
}  // namespace heed::tools
