// heed tokenize, and training on what it makes.
#include <gmock/gmock.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "heed_command.h"

namespace heed::tools {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Tokenize : public CommandTest {
 protected:
  void write_corpus(int documents) const {
    std::string lines;
    for (int i = 0; i < documents; ++i) {
      lines += "{\"text\": \"document " + std::to_string(i) + " of the corpus\"}\n";
    }
    write("in.jsonl", lines);
  }
};

TEST_F(Tokenize, MakesShardsThatTrain) {
  write_corpus(300);
  const Outcome made = heed({"tokenize", "in.jsonl", "--tokenizer", "bpe", "--vocab-size", "300",
                             "--out", "shards", "--json"});
  ASSERT_EQ(made.status, 0) << made.err;
  const auto document = parse_document(made.out);
  EXPECT_EQ(document["documents"], 300);
  EXPECT_EQ(document["shards"], 1);
  EXPECT_EQ(document["vocab_size"], 300);
  const Outcome again = heed(
      {"tokenize", "in.jsonl", "--tokenizer", "bpe", "--vocab-size", "300", "--out", "shards"});
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("(1 were there already)"));
  const Outcome other = heed(
      {"tokenize", "in.jsonl", "--tokenizer", "bpe", "--vocab-size", "280", "--out", "shards"});
  EXPECT_EQ(other.status, 2);
  EXPECT_THAT(other.err, HasSubstr("different: tokenizer_made"));
  const Outcome checked = heed({"tokenize", "--check", "--out", "shards"});
  EXPECT_THAT(checked.out, HasSubstr("whole"));
  write("r.yaml",
        "name: r\ndata: {type: token-shards, folder: shards, validation: 0.1}\n"
        "task: {type: language_modeling, documents: apart}\n"
        "model: {type: gpt, layers: 1, dim: 16, heads: 2, context: 16}\n"
        "train: {steps: 3, batch_size: 2}\n");
  const Outcome trained = heed({"train", "r.yaml", "--out", "run"});
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_TRUE(exists("run/checkpoints/step-00000003/tokenizer.json"));
  const Outcome text = heed({"generate", "run", "--prompt", "doc", "--max-tokens", "3"});
  EXPECT_EQ(text.status, 0) << text.err;
}

TEST_F(Tokenize, GoesOnAfterAKill) {
  write_corpus(60000);
  const std::vector<std::string> command = {"tokenize",     "in.jsonl", "--tokenizer", "bytes",
                                            "--shard-size", "0.05",     "--workers",   "2",
                                            "--out"};
  const auto into = [&](const std::string& folder) {
    std::vector<std::string> all = command;
    all.push_back(folder);
    return all;
  };
  ASSERT_EQ(heed(into("whole")).status, 0);
  const pid_t process = start(into("cut"));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!exists("cut/shard-000003.tokens") && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  kill(process, SIGKILL);
  wait_for(process);
  EXPECT_FALSE(exists("cut/index.json")) << "it ended before it was killed";
  const Outcome resumed = heed(into("cut"));
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("were there already"));
  EXPECT_EQ(read("cut/index.json"), read("whole/index.json"));
  for (const auto& entry : std::filesystem::directory_iterator(path("whole"))) {
    const std::string name = entry.path().filename().string();
    EXPECT_EQ(read("cut/" + name), read("whole/" + name)) << name;
  }
}

TEST_F(Tokenize, SaysWhatIsWrong) {
  write_corpus(10);
  const auto error = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "tokenize");
    const Outcome outcome = heed(arguments);
    EXPECT_EQ(outcome.status, 2);
    return outcome.err;
  };
  EXPECT_THAT(error({"in.jsonl", "--tokenizer", "bytes"}), HasSubstr("--out"));
  EXPECT_THAT(error({"--tokenizer", "bytes", "--out", "x"}), HasSubstr("INPUT is missing"));
  EXPECT_THAT(error({"in.jsonl", "--out", "x"}), HasSubstr("--tokenizer is missing"));
  EXPECT_THAT(error({"in.jsonl", "--out", "x", "--tokenizer", "byte"}),
              HasSubstr("no file or folder 'byte'"));
  EXPECT_THAT(error({"i.jsonl", "--out", "x", "--tokenizer", "bytes"}),
              HasSubstr("did you mean 'in.jsonl'"));
  EXPECT_THAT(error({"in.jsonl", "--out", "x", "--tokenizer", "bytes", "--documents", "pages"}),
              AllOf(HasSubstr("documents"), HasSubstr("paragraph")));
  EXPECT_THAT(error({"in.jsonl", "--out", "x", "--tokenizer", "bytes", "--field", "txt"}),
              HasSubstr("in.jsonl:1:1: no member 'txt' (did you mean 'text'?)"));
  EXPECT_THAT(error({"--check", "--out", "x"}), HasSubstr("not complete"));
  // A damaged byte is found where it is looked for.
  ASSERT_EQ(heed({"tokenize", "in.jsonl", "--tokenizer", "bytes", "--out", "y"}).status, 0);
  std::string shard = read("y/shard-000000.tokens");
  shard.back() = static_cast<char>(shard.back() ^ 1);
  write("y/shard-000000.tokens", shard);
  const Outcome checked = heed({"tokenize", "--check", "--out", "y"});
  EXPECT_EQ(checked.status, 1);
  EXPECT_THAT(checked.err, HasSubstr("shard-000000.tokens: its content is not what was written"));
}

}  // namespace
}  // namespace heed::tools
