// Several ranks under mpirun, as a user starts them, and how they end when something fails.
#ifdef HEED_MPIEXEC
#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/error.h"
#include "core/safetensors.h"
#include "heed_command.h"

namespace heed::tools {
namespace {

using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

class Ranks : public CommandTest {
 protected:
  /// Runs `heed` with the arguments on so many ranks; `meanwhile` is shell text that runs beside it
  /// and may use the ranks' process ids, in the files pid.0, pid.1, ... The status is mpirun's.
  Outcome ranks(int count, const std::string& arguments, const std::string& meanwhile = "") const {
    const std::string script = fmt::format(
        "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1\n"
        "'{}' --oversubscribe -np {} sh -c "
        "'echo $$ > pid.$OMPI_COMM_WORLD_RANK; trap \"\" XFSZ; exec \"{}/heed\" {}' &\n"
        "job=$!\n{}\nwait $job",
        HEED_MPIEXEC, count, HEED_BINARY_DIR, arguments, meanwhile);
    return run_program({"sh", "-c", script});
  }
};

/// Shell text that waits (half a minute at most) until there is such a file.
std::string once_there_is(const std::string& file) {
  return fmt::format("for i in $(seq 1500); do [ -e '{}' ] && break; sleep 0.02; done; ", file);
}

int64_t count_of(const std::string& text, const std::string& part) {
  int64_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++count;
  return count;
}

TEST_F(Ranks, OneOfThemSpeaksAndWrites) {
  write_tiny_recipe("tiny.yaml");
  const Outcome outcome = ranks(2, "train tiny.yaml train.batch_size=4 --out run --json");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto document = parse_document(outcome.out);
  EXPECT_EQ(document["interrupted"], false);
  EXPECT_TRUE(exists("run/metrics.jsonl"));
  const Outcome eval = ranks(2, "eval run evaluation.batch_size=4 --json");
  ASSERT_EQ(eval.status, 0) << eval.err;
  EXPECT_NEAR(parse_document(eval.out)["metrics"]["loss"].get<double>(),
              document["metrics"]["loss"].get<double>(), 1e-5);

  // One rank reads what two have written.
  EXPECT_TRUE(exists("run/checkpoints/step-00000020/model-00002-of-00002.safetensors"));
  EXPECT_TRUE(exists("run/checkpoints/step-00000020/model.safetensors.index.json"));
  EXPECT_EQ(heed({"eval", "run"}).status, 0);
  EXPECT_EQ(heed({"generate", "run", "--prompt", "a", "--max-tokens", "3"}).status, 0);
  EXPECT_EQ(heed({"report", "run"}).status, 0);
  EXPECT_EQ(heed({"export", "run", "exported"}).status, 0);
  EXPECT_TRUE(exists("exported/model.safetensors"));
}

TEST_F(Ranks, TrainAsPlanned) {
  write_tiny_recipe("tiny.yaml");
  const auto plan = parse_document(heed({"plan", "tiny.yaml", "train.batch_size=4", "--gpus", "2",
                                         "--mesh", "sequence=2", "--json"})
                                       .out);
  const auto words = plan["command"].get<std::vector<std::string>>();
  ASSERT_EQ(words[3], "heed");
  const std::vector<std::string> own(words.begin() + 4, words.end());
  const Outcome outcome = ranks(2, fmt::format("{} --out run", fmt::join(own, " ")));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(read("run/recipe.yaml"), HasSubstr("sequence: 2"));
}

TEST_F(Ranks, AWrongRequestIsToldOnceAndWritesNothing) {
  write_tiny_recipe("tiny.yaml");
  for (const std::string wrong :
       {"train tiny.yaml train.step=3 --out run", "train tiny.yaml parallel.data=3 --out run",
        "train tiny.yaml train.batch_size=3 --out run", "train missing.yaml --out run",
        "train tiny.yaml --resume --force", "eval run", "list models"}) {
    const Outcome outcome = ranks(2, wrong);
    EXPECT_EQ(outcome.status, 2) << wrong << outcome.err;
    EXPECT_EQ(count_of(outcome.err, "error: "), 1) << outcome.err;
    EXPECT_FALSE(exists("run")) << wrong;
  }
}

TEST_F(Ranks, MeasureWhatTheySayToEachOtherBesideMpi) {
  const Outcome outcome = ranks(3, "bench collectives --sizes 4 4K --seconds 0.01 --json");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto document = parse_document(outcome.out);
  EXPECT_EQ(document["ranks"], 3);
  ASSERT_EQ(document["results"].size(), 7 * 2u);
  for (const auto& result : document["results"]) {
    EXPECT_GT(result["microseconds"], 0.0);
    EXPECT_GT(result["times_mpi"], 0.0);
    const double factor = result["operation"] == "all_reduce" ? 4.0 / 3
                          : result["operation"] == "all_gather" ||
                                  result["operation"] == "reduce_scatter" ||
                                  result["operation"] == "all_to_all"
                              ? 2.0 / 3
                              : 1.0;
    EXPECT_NEAR(result["bus_gb_s"].get<double>(), factor * result["algorithm_gb_s"].get<double>(),
                1e-9);
  }
  const Outcome wrong = ranks(2, "bench collectives --sizes 4Q");
  EXPECT_EQ(wrong.status, 2);
  EXPECT_EQ(count_of(wrong.err, "error: "), 1) << wrong.err;
  EXPECT_THAT(wrong.err, HasSubstr("'4Q' is not a size"));
}

TEST_F(Ranks, MeasureAStepAndWhatTheyWaitForEachOther) {
  write_tiny_recipe("tiny.yaml");
  const std::string bench = "bench step tiny.yaml train.batch_size=4 --steps 4 --profile";
  const Outcome outcome = ranks(2, bench + " --json");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto document = parse_document(outcome.out);
  EXPECT_EQ(document["ranks"], 2);
  const double waited = document["waited_ms"];
  EXPECT_GT(waited, 0.0);
  EXPECT_LE(waited, document["step_ms"]["median"].get<double>());
  EXPECT_GT(document["ops"].size(), 5u);

  EXPECT_THAT(ranks(2, bench).out, HasSubstr("for other ranks"));
  EXPECT_EQ(parse_document(
                heed({"bench", "step", "tiny.yaml", "--steps", "2", "--json"}).out)["waited_ms"],
            0.0);
  const Outcome wrong = ranks(2, "bench step tiny.yaml train.step=3");
  EXPECT_EQ(wrong.status, 2);
  EXPECT_EQ(count_of(wrong.err, "error: "), 1) << wrong.err;
}

TEST_F(Ranks, AKilledRankEndsTheRunWhichGoesOnFromItsCheckpoint) {
  write_tiny_recipe("tiny.yaml");
  const std::string run =
      "train tiny.yaml train.batch_size=4 train.checkpoint_every=5 train.eval_every=0 "
      "train.steps=1000000 --out run";
  const Outcome killed =
      ranks(2, run, once_there_is("run/checkpoints/step-00000010") + "kill -KILL $(cat pid.1)");
  EXPECT_NE(killed.status, 0);
  EXPECT_THAT(killed.err, HasSubstr("rank 1"));  // mpirun's words
  // Asked to stop, one rank tells the other, and both end after the same step.
  const Outcome resumed = ranks(2, run + " --resume", "sleep 2; kill -TERM $(cat pid.1)");
  EXPECT_THAT(resumed.out, HasSubstr("going on from run/checkpoints/step-"));
  EXPECT_THAT(resumed.err, HasSubstr("interrupted at step"));
}

TEST_F(Ranks, AStoppedRankIsNamedOnceTheWatchdogsTimeIsOver) {
  write_tiny_recipe("tiny.yaml");
  const auto start = Clock::now();
  const Outcome outcome =
      ranks(2,
            "train tiny.yaml train.batch_size=4 train.checkpoint_every=5 train.eval_every=0 "
            "train.steps=1000000 parallel.watchdog=5 --out run",
            once_there_is("run/checkpoints/step-00000010") + "kill -STOP $(cat pid.1)");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("rank 1 does not answer"));
  EXPECT_EQ(count_of(outcome.err, "error: "), 1) << outcome.err;
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(60));
}

// A rank that computes for ever answers when it is asked; here rank 0 samples without end.
TEST_F(Ranks, ARankThatDoesNotComeIsNamedOnceTheWatchdogsTimeIsOver) {
  write_tiny_recipe("tiny.yaml");
  const auto start = Clock::now();
  const Outcome outcome =
      ranks(2,
            "train tiny.yaml train.batch_size=4 train.checkpoint_every=5 train.eval_every=0 "
            "samples.every=12 samples.count=1000000000 parallel.watchdog=3 --out run");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("rank 0 has not come to it: it computes since"));
  EXPECT_EQ(count_of(outcome.err, "error: "), 1) << outcome.err;
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(60));
  EXPECT_TRUE(exists("run/checkpoints/step-00000010"));
}

// Every rank writes its part of a checkpoint: here rank 1's disk takes no more from step 10 on.
TEST_F(Ranks, AFullDiskOnOneRankEndsAllAndLeavesTheLastCheckpoint) {
  write_tiny_recipe("tiny.yaml");
  const std::string run =
      "train tiny.yaml train.batch_size=4 train.checkpoint_every=5 train.eval_every=0 "
      "train.steps=1000000 parallel.shard=optimizer --out run";
  const Outcome full = ranks(
      2, run,
      once_there_is("run/checkpoints/step-00000010") + "prlimit --pid $(cat pid.1) --fsize=64:64");
  EXPECT_EQ(full.status, 1) << full.err;
  EXPECT_THAT(full.err, HasSubstr("error: rank 1: "));
  EXPECT_THAT(full.err, HasSubstr("-00002-of-00002.safetensors"));
  EXPECT_THAT(full.err, HasSubstr("File too large"));
  EXPECT_EQ(count_of(full.err, "error: "), 1) << full.err;
  for (const std::string& file : everything()) EXPECT_EQ(file.find(".writing-"), file.npos) << file;
  const Outcome resumed = ranks(2, run + " --resume", "sleep 2; kill -TERM $(cat pid.1)");
  EXPECT_THAT(resumed.out, HasSubstr("going on from run/checkpoints/step-"));
  EXPECT_EQ(count_of(resumed.err, "damaged"), 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("interrupted at step"));
}

// Rank 1 starts from other weights than rank 0: they are NaN.
TEST_F(Ranks, ANotANumberOnOneRankNamesItAndTheTensor) {
  write_tiny_recipe("tiny.yaml");
  ASSERT_EQ(heed({"train", "tiny.yaml", "--out", "run"}).status, 0);
  auto weights = read_safetensors(path("run/checkpoints/step-00000020/model.safetensors")).tensors;
  write_safetensors(path("rank-0.safetensors"), weights);
  for (const auto& [name, tensor] : weights) {
    std::fill_n(tensor.data<float>(), tensor.numel(), std::nanf(""));
  }
  write_safetensors(path("rank-1.safetensors"), weights);
  for (const std::string shard : {"none", "gradients", "parameters"}) {
    const Outcome outcome =
        ranks(2, fmt::format("train tiny.yaml train.batch_size=4 parallel.shard={} "
                             "train.from=rank-$OMPI_COMM_WORLD_RANK.safetensors --out run-{}",
                             shard, shard));
    EXPECT_EQ(outcome.status, 1) << outcome.err;
    EXPECT_THAT(outcome.err, ::testing::ContainsRegex(
                                 "on rank 1, the parameter '.*' held a value that is not finite"))
        << shard;
    EXPECT_EQ(count_of(outcome.err, "error: "), 1) << outcome.err;
  }
}

}  // namespace
}  // namespace heed::tools
#endif  // HEED_MPIEXEC
