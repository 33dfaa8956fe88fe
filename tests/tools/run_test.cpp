// A run from recipe to report, through the command.
#include <gmock/gmock.h>

#include <iostream>

#include "heed_command.h"

namespace heed::tools {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class Run : public CommandTest {
 protected:
  /// Trains the tiny recipe into "run".
  void train(const std::vector<std::string>& more = {}) const {
    write_tiny_recipe("tiny.yaml");
    std::vector<std::string> arguments = {"train", "tiny.yaml", "--out", "run"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = heed(arguments);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }
};

TEST_F(Run, SmokeRecipeTrainsMeasuresWritesExportsAndReports) {
  const std::string recipe = source_path("recipes/base/smoke.yaml");
  const Outcome trained = heed({"train", recipe, "--out", "smoke"});
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_EQ(trained.err, "");
  EXPECT_THAT(trained.out, HasSubstr("step 1/20"));
  EXPECT_THAT(trained.out, HasSubstr("step 20/20"));
  EXPECT_THAT(trained.out, HasSubstr("unigram"));
  EXPECT_THAT(trained.out, Not(HasSubstr("\x1b")));  // no terminal codes in a log

  const nlohmann::json eval = parse_document(heed({"eval", "smoke", "--json"}).out);
  EXPECT_EQ(eval["step"], 20);
  EXPECT_GT(eval["metrics"]["bits_per_byte"], 0.0);
  EXPECT_GT(eval["baselines"]["unigram.bits_per_byte"], 0.0);

  const Outcome text = heed({"generate", "smoke", "--prompt", "the ", "--max-tokens", "8"});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_EQ(text.out.substr(0, 4), "the ");

  const Outcome exported = heed({"export", "smoke", "out", "--json"});
  const nlohmann::json files = parse_document(exported.out);
  EXPECT_THAT(files["files"], Contains("out/model.safetensors"));
  EXPECT_TRUE(exists("out/config.json"));
  EXPECT_TRUE(exists("out/tokenizer.json"));
  EXPECT_FALSE(read_safetensors(path("out/model.safetensors")).tensors.empty());

  const Outcome report = heed({"report", "smoke"});
  EXPECT_EQ(report.out, "smoke/report.html\n");
  EXPECT_THAT(read("smoke/report.html"), HasSubstr("finished, 20 steps"));
}

// An answer does not go on from the prompt: it is printed alone, in the report too.
TEST_F(Run, AnswersStandWithoutTheirPrompt) {
  const std::string recipe = source_path("recipes/base/smoke-seq2seq.yaml");
  const Outcome trained = heed({"train", recipe, "--out", "pairs", "samples.prompt=abcabc"});
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_THAT(trained.out, HasSubstr("sample"));
  EXPECT_THAT(trained.out, Not(HasSubstr("abcabc")));
  const std::vector<std::string> command = {"generate", "pairs", "--prompt", "abcabc", "--greedy"};
  std::vector<std::string> json = command;
  json.push_back("--json");
  const nlohmann::json document = parse_document(heed(json).out);
  EXPECT_EQ(document["prompt"], "abcabc");
  EXPECT_EQ(heed(command).out, document["text"].get<std::string>() + "\n");
  ASSERT_EQ(heed({"report", "pairs"}).status, 0);
  const std::string page = read("pairs/report.html");
  EXPECT_THAT(page, HasSubstr("step 6, for <b>abcabc</b></header><pre>"));
  EXPECT_THAT(page, Not(HasSubstr("<pre><b>abcabc</b>")));
}

TEST_F(Run, EveryJsonOutputIsOneDocument) {
  train({"--json"});
  const std::vector<std::vector<std::string>> commands = {
      {"train", "tiny.yaml", "--out", "second", "--json"},
      {"eval", "run", "--json"},
      {"generate", "run", "--prompt", "a", "--max-tokens", "4", "--json"},
      {"export", "run", "exported", "--json"},
      {"describe", "tiny.yaml", "--json"},
      {"list", "--json"},
      {"list", "layers", "--json"},
      {"doctor", "--json"},
      {"schema"},
      {"bench", "step", "tiny.yaml", "--steps", "3", "--profile", "--json"},
      {"bench", "attention", "neighborhood", "--grid", "8x9", "--seconds", "0", "--materialised",
       "--json"},
  };
  for (const std::vector<std::string>& command : commands) {
    SCOPED_TRACE(command[0]);
    const Outcome outcome = heed(command);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_TRUE(parse_document(outcome.out).is_object());
  }
}

TEST_F(Run, AttentionIsMeasuredOverASweepAndDrawn) {
  const Outcome swept =
      heed({"bench", "attention", "window", "--tokens", "192", "--heads", "1", "--sweep", "window",
            "--plot", "times.svg", "--seconds", "0", "--json"});
  ASSERT_EQ(swept.status, 0) << swept.err;
  const nlohmann::json document = parse_document(swept.out);
  ASSERT_EQ(document["sweep"].size(), 7u);  // windows of 3, 6, 12, 24, 48, 96 and 192 tokens
  EXPECT_EQ(document["sweep"][0]["pairs"], 3 * 192 - 3);
  EXPECT_EQ(document["sweep"][6]["pairs"], 192 * 193 / 2);
  EXPECT_THAT(read("times.svg"), HasSubstr("heed, dense"));

  const Outcome alone = heed({"bench", "attention", "causal", "--plot", "times.svg"});
  EXPECT_NE(alone.status, 0);
  EXPECT_THAT(alone.err, HasSubstr("--plot requires --sweep"));
}

TEST_F(Run, AttentionIsMeasuredWithoutPyTorchWhereThereIsNone) {
  const Outcome outcome = heed({"bench", "attention", "dense", "--tokens", "64", "--seconds", "0",
                                "--pytorch", "--python", "no-such-python"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("there is no Python 'no-such-python'"));
}

TEST_F(Run, IsNotOverwrittenUnlessAsked) {
  train();
  const std::string before = read("run/metrics.jsonl");
  const Outcome refused = heed({"train", "tiny.yaml", "--out", "run"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("--resume"));
  EXPECT_EQ(read("run/metrics.jsonl"), before);

  write("run/notes.txt", "kept");
  const Outcome wrong = heed({"train", "tiny.yaml", "model.heads=3", "--out", "run", "--force"});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_EQ(read("run/metrics.jsonl"), before);  // a wrong recipe costs nothing

  const Outcome forced = heed({"train", "tiny.yaml", "train.steps=3", "--out", "run", "--force"});
  EXPECT_EQ(forced.status, 0) << forced.err;
  EXPECT_TRUE(exists("run/checkpoints/step-00000003"));
  EXPECT_FALSE(exists("run/checkpoints/step-00000020"));
  EXPECT_EQ(read("run/notes.txt"), "kept");
}

TEST_F(Run, GoesToRunsByName) {
  write_tiny_recipe("tiny.yaml");
  ASSERT_EQ(heed({"train", "tiny.yaml", "train.steps=2"}).status, 0);
  EXPECT_TRUE(exists("runs/tiny/metrics.jsonl"));
}

TEST_F(Run, OfTheResolvedRecipeIsTheSame) {
  train();
  const Outcome again = heed({"train", "run/recipe.yaml", "--out", "again"});
  ASSERT_EQ(again.status, 0) << again.err;
  const std::string model = "/checkpoints/step-00000020/model.safetensors";
  expect_same_tensors(path("run" + model), path("again" + model));
}

TEST_F(Run, EqualSeedsWriteEqualText) {
  train();
  const std::vector<std::string> command = {"generate", "run", "--prompt", "a", "--seed", "5"};
  const Outcome first = heed(command);
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(first.out, heed(command).out);
  EXPECT_NE(first.out, heed({"generate", "run", "--prompt", "a", "--seed", "6"}).out);
}

TEST_F(Run, TellsTheTimeToItsFirstStep) {
  write_tiny_recipe("tiny.yaml");
  const Outcome outcome = heed({"train", "tiny.yaml", "train.steps=2", "--json"});
  const nlohmann::json document = parse_document(outcome.out);
  const double seconds = document["first_step_seconds"];
  EXPECT_GT(seconds, 0.0);
  std::cout << "first step " << seconds << " s after the start\n";
}

TEST_F(Run, ProbeAgreesWithItselfThroughFiles) {
  ASSERT_EQ(
      heed({"probe", "linear", "--config", "{in: 3, out: 2}", "--out", "w.safetensors"}).status, 0);
  const Tensor x = Tensor::from<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  write_safetensors(path("x.safetensors"), {{"x", x}});
  const Outcome outcome =
      heed({"probe", "linear", "--config", "{in: 3, out: 2}", "--weights", "w.safetensors",
            "--inputs", "x.safetensors", "--out", "y.safetensors", "--grad"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const SafetensorsFile weights = read_safetensors(path("w.safetensors"));
  const SafetensorsFile result = read_safetensors(path("y.safetensors"));
  const std::vector<float> w = weights.find("weight").to_vector<float>();
  const std::vector<float> b = weights.find("bias").to_vector<float>();
  const std::vector<float> y = result.find("out").to_vector<float>();
  ASSERT_EQ(y.size(), 4u);
  for (size_t row = 0; row < 2; ++row) {
    for (size_t o = 0; o < 2; ++o) {
      double sum = b[o];
      for (size_t i = 0; i < 3; ++i)
        sum += double{w[o * 3 + i]} * static_cast<double>(3 * row + i + 1);
      EXPECT_NEAR(y[row * 2 + o], sum, 1e-5);  // 3 products of values below 6
    }
  }
  // The loss is the sum of the outputs: the weight's gradient is the inputs' column sums.
  EXPECT_THAT(result.find("grad.weight").to_vector<float>(),
              ::testing::ElementsAre(5, 7, 9, 5, 7, 9));
  EXPECT_THAT(result.find("grad.bias").to_vector<float>(), ::testing::ElementsAre(2, 2));
}

}  // namespace
}  // namespace heed::tools
