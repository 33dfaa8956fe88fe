// heed plan and heed bench collectives, as a user calls them.
#include <gmock/gmock.h>

#include "heed_command.h"

namespace heed::tools {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

class PlanCommand : public CommandTest {
 protected:
  /// A model that no machine here could hold, on data that is not there.
  std::string large() const {
    return write("large.yaml",
                 "model: {type: gpt, vocab: 50304, context: 8192, layers: 32, dim: 4096, "
                 "heads: 32}\ndata: {type: text, files: [none.txt]}\n"
                 "train: {batch_size: 64, precision: bf16}\n");
  }
};

TEST_F(PlanCommand, ShowsMemoryTrafficTimeAndLimits) {
  large();
  const Outcome outcome = heed({"plan", "large.yaml", "--gpus", "64"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  for (const char* part :
       {"best mesh: ", "fits: ", "memory of a rank", "shard parameters", "sent by a rank a step",
        "longest sequence", "largest batch", "other meshes of"}) {
    EXPECT_THAT(outcome.out, HasSubstr(part));
  }
  const Outcome alone = heed({"plan", "large.yaml"});
  EXPECT_EQ(alone.status, 0) << alone.err;
  EXPECT_THAT(alone.out, HasSubstr("does not fit"));
  EXPECT_THAT(alone.out, HasSubstr("what helps: --checkpointing on"));
  const Outcome axes = heed({"plan", "large.yaml", "--mesh", "sequence=4,tensor=2", "--json"});
  EXPECT_EQ(parse_document(axes.out)["ranks"], 8);
}

TEST_F(PlanCommand, PrintsOneDocument) {
  large();
  const auto document = parse_document(
      heed({"plan", "large.yaml", "--gpus", "16", "--mesh", "sequence=4,tensor=2", "--machine",
            "h200", "--method", "rsa", "--shard", "optimizer", "--json"})
          .out);
  EXPECT_EQ(document["best"]["mesh"]["data"], 2);
  EXPECT_EQ(document["best"]["method"], "rsa");
  EXPECT_EQ(document["best"]["shard"], "optimizer");
  EXPECT_EQ(document["machine"]["name"], "h200");
  EXPECT_GT(document["best"]["memory_bytes"]["attention"], 0);
  EXPECT_GT(document["best"]["sent"]["sequence"]["bytes"], 0.0);
  EXPECT_GT(document["best"]["seconds"]["total"], 0.0);
  EXPECT_EQ(document["memory_by_sharding"].size(), 4u);
  EXPECT_GT(document["longest_tokens"], 0);
}

// The command's overrides make the recipe one whose plan is the same.
TEST_F(PlanCommand, NamesTheCommandThatRunsIt) {
  large();
  const std::vector<std::string> begin{"plan", "large.yaml", "--gpus", "16", "--json"};
  std::vector<std::string> first = begin;
  first.insert(first.end(), {"--mesh", "pipeline=4,tensor=2", "--checkpointing", "on",
                             "model.dim=2048", "train.batch_size=32"});
  const auto document = parse_document(heed(first).out);
  const auto words = document["command"].get<std::vector<std::string>>();
  EXPECT_THAT(words,
              ::testing::IsSupersetOf({"model.dim=2048", "parallel.data=2", "parallel.pipeline=4",
                                       "parallel.tensor=2", "model.checkpointing=true"}));
  EXPECT_THAT(words, ::testing::Not(::testing::Contains("train.batch_size=32")));
  const std::vector<std::string> start(words.begin(), words.begin() + 6);
  EXPECT_EQ(start,
            (std::vector<std::string>{"mpirun", "-np", "16", "heed", "train", "large.yaml"}));
  std::vector<std::string> again = begin;
  again.insert(again.end(), words.begin() + 6, words.end());
  const std::string micro_batches = document["best"]["micro_batches"].dump();
  again.insert(again.end(), {"--micro-batches", micro_batches});
  EXPECT_EQ(parse_document(heed(again).out)["best"], document["best"]);

  const Outcome outcome = heed({"plan", "large.yaml", "--gpus", "64", "name=two words"});
  EXPECT_THAT(outcome.out, HasSubstr("to run it:\n  mpirun -np 64 heed train large.yaml 'name=two "
                                     "words' parallel.data="));
}

TEST_F(PlanCommand, ReadsAMachineFromAFile) {
  large();
  write("own.yaml",
        "description: a test\nmemory_gb: 1000\nf32_tflops: 1\nmemory_gb_s: 100\n"
        "ranks_per_host: 4\nlink_gb_s: 10\n");
  const Outcome outcome = heed({"plan", "large.yaml", "--gpus", "2", "--machine", "own.yaml"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("own.yaml: a test"));
  const Outcome far = heed({"plan", "large.yaml", "--gpus", "8", "--machine", "own.yaml"});
  EXPECT_EQ(far.status, 2);
  EXPECT_THAT(far.err, HasSubstr("network_gb_s"));
}

TEST_F(PlanCommand, RefusesWrongRequests) {
  large();
  write("machine.yaml", "memory_gb: 16\nf32_tflop: 9\nmemory_gb_s: 700\n");
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{}, "RECIPE is missing"},
      {{"large.yaml", "--gpus", "8", "--mesh", "tensor=3"},
       "wants a multiple of 3 ranks, but there are 8 (--gpus N)"},
      {{"large.yaml", "--gpus", "8", "--mesh", "tensr=2"}, "'tensor'"},
      {{"large.yaml", "--machine", "h10"}, "h100"},
      {{"large.yaml", "--machine", "machine.yaml"}, "machine.yaml:2:1"},
      {{"large.yaml", "--shard", "optimiser"}, "'optimizer'"},
      {{"large.yaml", "--method", "rin"}, "'ring'"},
      {{"large.yaml", "--checkpointing", "yes"}, "on or off"},
      {{"large.yaml", "--gpus", "0"}, "--gpus"},
      {{"large.yaml", "model.layer=3"}, "layers"},
      {{"large.yaml", "--gpus", "2", "--micro-batches", "7"}, "--micro-batches 7"},
      {{"missing.yaml"}, "missing.yaml"},
  };
  for (const auto& [arguments, message] : wrong) {
    std::vector<std::string> all{"plan"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Outcome outcome = heed(all);
    EXPECT_EQ(outcome.status, 2) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
    EXPECT_EQ(outcome.out, "");
  }
}

TEST_F(PlanCommand, PlansEveryKindOfRecipe) {
  for (const char* name : {"smoke.yaml", "smoke-classification.yaml", "smoke-seq2seq.yaml",
                           "smoke-regression.yaml", "smoke-denoising.yaml", "recall.yaml"}) {
    const std::string recipe = source_path(std::string("recipes/base/") + name);
    const Outcome outcome = heed({"plan", recipe, "--gpus", "2", "--machine", "laptop", "--json"});
    EXPECT_EQ(outcome.status, 0) << name << outcome.err;
    EXPECT_GT(parse_document(outcome.out)["best"]["memory_bytes"]["activations"], 0) << name;
  }
}

TEST_F(PlanCommand, PrintsThePapersTables) {
  const Outcome text = heed({"plan", "--paper"});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("13.7x"));
  EXPECT_EQ(parse_document(heed({"plan", "--paper", "--json"}).out)["limits"].size(), 4u);
}

TEST_F(PlanCommand, BenchCollectivesOfOneRankSaysWhatToDo) {
  const Outcome outcome = heed({"bench", "collectives"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, AnyOf(HasSubstr("mpirun -np 4 heed bench collectives"),
                                 HasSubstr("built without MPI")));
}

}  // namespace
}  // namespace heed::tools
