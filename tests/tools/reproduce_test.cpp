// Claims by the command: killed in the middle, resumed, failing in part, asked for wrongly.
#include <gmock/gmock.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "heed_command.h"

namespace heed::tools {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr char kClaim[] = R"(
title: more steps beat fewer
paper: common sense
statement: training helps
metric: {name: loss, better: lower}
arms:
  - {name: few, role: baseline, overrides: [train.steps=10]}
  - {name: many, role: method, overrides: [train.steps=120]}
relations:
  - {method: many, baseline: few, margin: 0.3}
sizes:
  smoke: {recipe: tiny.yaml, seeds: 3}
)";

class Reproduce : public CommandTest {
 protected:
  void write_claim(const std::string& text = kClaim) const {
    write_tiny_recipe("claim/tiny.yaml");
    fs::copy_file(path("text.txt"), path("claim/text.txt"), fs::copy_options::overwrite_existing);
    write("claim/claim.yaml", text);
  }

  std::vector<std::string> command(const std::string& out,
                                   const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"reproduce", "claim", "--size", "smoke",
                                      "--out",     out,     "--jobs", "2"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
};

TEST_F(Reproduce, GivesAVerdictAsTextJsonAndPage) {
  write_claim();
  const Outcome outcome = heed(command("out", {"--json"}));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const nlohmann::json document = parse_document(outcome.out);
  EXPECT_EQ(document, parse_document(read("out/claim.result.json")));
  EXPECT_EQ(document["verdict"], "confirmed");
  EXPECT_THAT(read("out/claim.svg"), HasSubstr("<svg"));
  EXPECT_EQ(document["claim"], "claim");
  EXPECT_EQ(document["size"], "smoke");
  EXPECT_EQ(document["command"], "heed reproduce claim --size smoke --seeds 3");
  EXPECT_EQ(document["claim_sha256"].get<std::string>().size(), 64u);
  EXPECT_EQ(document["claim_sha256"], document["claim_sha256_at_start"]);
  ASSERT_EQ(document["arms"].size(), 2u);
  const nlohmann::json& many = document["arms"][1];
  EXPECT_EQ(many["name"], "many");
  EXPECT_EQ(many["points"][0]["values"].size(), 3u);
  EXPECT_GT(many["parameters"], 0);
  EXPECT_EQ(many["runs"][2]["metrics"]["trained"]["loss"], many["points"][0]["values"][2]);
  EXPECT_GT(document["relations"][0]["interval"][0], 0.3);
  EXPECT_EQ(outcome.out.find(path()), std::string::npos) << "a path of this machine";
  EXPECT_THAT(read("out/claim.html"), HasSubstr("confirmed"));

  const Outcome again = heed(command("out"));
  EXPECT_EQ(again.status, 0);
  EXPECT_THAT(again.out, HasSubstr("going on: 6 are finished"));
  EXPECT_THAT(again.out, HasSubstr("verdict: confirmed"));
  EXPECT_EQ(parse_document(read("out/claim.result.json")), document);
}

TEST_F(Reproduce, KilledInTheMiddleGoesOnToTheSameResult) {
  write_claim();
  ASSERT_EQ(heed(command("whole")).status, 0);
  const pid_t process = start(command("killed"));
  const fs::path checkpoint = path("killed/many/seed-1/checkpoints/step-00000020");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (!fs::exists(checkpoint) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  kill(process, SIGKILL);
  EXPECT_EQ(wait_for(process).status, 128 + SIGKILL);
  EXPECT_FALSE(exists("killed/claim.result.json")) << "it ended before it was stopped";

  const Outcome resumed = heed(command("killed"));
  ASSERT_EQ(resumed.status, 0) << resumed.out << resumed.err;
  EXPECT_EQ(read("killed/claim.result.json"), read("whole/claim.result.json"));
  EXPECT_THAT(read("killed/many/seed-1.log"), HasSubstr("going on from"));
}

TEST_F(Reproduce, OneRunThatFailsLeavesTheOthers) {
  std::string text = kClaim;
  const std::string many = "overrides: [train.steps=120]";
  text.replace(text.find(many), many.size(), "overrides: [train.steps=12, optimizer.lr=1e30]");
  write_claim(text);
  const Outcome outcome = heed(command("out"));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.out, HasSubstr("failed many:1"));
  EXPECT_THAT(outcome.out, HasSubstr("verdict: inconclusive"));
  EXPECT_THAT(outcome.err, HasSubstr("error: 3 of 6 runs failed"));
  const nlohmann::json document = parse_document(read("out/claim.result.json"));
  EXPECT_EQ(document["failed_runs"], 3);
  EXPECT_EQ(document["arms"][0]["points"][0]["values"].size(), 3u);
  EXPECT_EQ(document["arms"][1]["runs"][0]["state"], "failed");
}

TEST_F(Reproduce, OneRunAloneIsFoundByTheOthers) {
  write_claim();
  ASSERT_EQ(heed(command("out", {"--only", "many:2"})).status, 0);
  EXPECT_FALSE(exists("out/claim.result.json"));
  EXPECT_THAT(heed(command("out")).out, HasSubstr("found  many:2"));
}

TEST_F(Reproduce, WrongRequestsWriteNothing) {
  write_claim();
  const auto before = everything();
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"reproduce", "clame-example"},
       "there is no claim 'clame-example' (did you mean 'claim-example'?)"},
      {{"reproduce", "claim", "--size", "mimi"}, "unknown size 'mimi' (did you mean 'mini'?)"},
      {{"reproduce", "claim", "--size", "paper"}, "no size 'paper': there is no file"},
      {{"reproduce", "claim", "--size", "smoke", "--only", "many:7"}, "there is no run 'many:7'"},
      {{"reproduce", "claim", "--size", "smoke", "--jobs", "-1"}, "--jobs"},
  };
  for (const auto& [arguments, message] : cases) {
    const Outcome outcome = heed(arguments);
    EXPECT_EQ(outcome.status, 2) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
  EXPECT_EQ(everything(), before);
}

TEST_F(Reproduce, TheExampleRunsInItsSmokeSize) {
  const Outcome outcome = heed({"reproduce", "claim-example", "--size", "smoke", "--out", "out"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("verdict: "));
  EXPECT_THAT(heed({"list", "claims"}).out, HasSubstr("claim-example"));
}

TEST_F(Reproduce, MeasuresBenchmarks) {
  write("bench/claim.yaml", R"(
title: storing less takes less
paper: common sense
statement: what is not stored takes no memory
metric: {name: forward_backward_ms, better: lower}
arms:
  - {name: fused, role: method, bench: [attention, neighborhood, --form, fused]}
  - {name: masked, role: baseline, bench: [attention, neighborhood, --form, masked]}
points:
  - {name: small, overrides: [--grid, 12x12]}
  - {name: large, overrides: [--grid, 24x24]}
relations:
  - {method: fused, baseline: masked, at: large, metric: peak_bytes, compare: ratio, margin: 1.5}
sizes:
  smoke: {seeds: 2, overrides: [--heads, "2", --head-dim, "16", --window, "3", --seconds, "0"]}
)");
  const Outcome outcome =
      heed({"reproduce", path("bench"), "--size", "smoke", "--out", path("out")});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("verdict: confirmed"));
  EXPECT_THAT(outcome.out, HasSubstr("peak_bytes of fused at large beats masked"));
  EXPECT_THAT(read("out/claim.result.json"), HasSubstr("\"bench\""));
}

}  // namespace
}  // namespace heed::tools
