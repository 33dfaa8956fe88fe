// heed bench attention: patterns by name, sweeps, wrong sizes.
#include <gmock/gmock.h>

#include <filesystem>

#include "heed_command.h"

namespace heed::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class BenchAttention : public CommandTest {
 protected:
  Outcome bench(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"bench", "attention"});
    return heed(arguments);
  }
  Outcome quick(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--seconds", "0", "--heads", "2", "--head-dim", "16"});
    return bench(arguments);
  }
};

TEST_F(BenchAttention, EveryPatternIsDrawnAndMeasured) {
  for (const char* pattern : {"dense", "causal", "window", "longformer", "segments", "lengths",
                              "strided", "lifetimes", "indices", "random_sources", "block_window",
                              "neighborhood", "taps", "window_partition", "halo", "power"}) {
    const std::vector<std::string> sizes = {pattern, "--tokens", "96", "--window", "9", "--block",
                                            "16",    "--kept",   "5",  "--batch",  "2"};
    std::vector<std::string> drawn = sizes;
    drawn.push_back("--show-pattern");
    const Outcome picture = bench(drawn);
    EXPECT_EQ(picture.status, 0) << pattern << picture.err;
    EXPECT_NE(picture.out.find_first_of("#+"), std::string::npos) << pattern;
    std::vector<std::string> measured = sizes;
    measured.push_back("--json");
    const Outcome outcome = quick(measured);
    ASSERT_EQ(outcome.status, 0) << pattern << outcome.err;
    const auto document = parse_document(outcome.out);
    EXPECT_GT(document["pairs"], 0) << pattern;
    EXPECT_LE(document["density"], 1.0) << pattern;
  }
}

TEST_F(BenchAttention, OptionsShapeThePattern) {
  const auto pairs = [&](const std::vector<std::string>& arguments) {
    std::vector<std::string> all = arguments;
    all.push_back("--json");
    return parse_document(quick(all).out)["pairs"].get<int>();
  };
  const std::vector<std::string> near = {"neighborhood", "--tokens", "64", "--window", "5"};
  EXPECT_EQ(pairs(near), 2 * 64 * 5);
  EXPECT_EQ(pairs({"neighborhood", "--tokens", "64", "--window", "5", "--causal"}),
            2 * (64 * 5 - 10));
  EXPECT_EQ(pairs({"window_partition", "--tokens", "64", "--window", "16"}), 2 * 4 * 256);
  EXPECT_EQ(pairs({"window_partition", "--tokens", "64", "--window", "16", "--shift", "6"}),
            2 * (36 + 3 * 256 + 100));
  const auto document = parse_document(
      quick({"causal", "--tokens", "64", "--kv-heads", "1", "--materialised", "--json"}).out);
  EXPECT_EQ(document["kv_heads"], 1);
  EXPECT_EQ(document["pairs"], 2 * 64 * 65 / 2);
}

TEST_F(BenchAttention, SaysWhyPyTorchWasNotMeasured) {
  write("fake", "#!/bin/sh\necho '{\"error\": \"has a torch that sees no GPU\"}'\n");
  std::filesystem::permissions(path("fake"), std::filesystem::perms::owner_all);
  const Outcome outcome =
      quick({"causal", "--tokens", "64", "--pytorch", "--python", path("fake")});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("fake' has a torch that sees no GPU"));
}

TEST_F(BenchAttention, ASweepOfTokensEndsWithThoseAskedFor) {
  const Outcome outcome =
      quick({"window", "--window", "8", "--tokens", "700", "--sweep", "tokens", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  std::vector<int> tokens;
  const auto sweep = parse_document(outcome.out)["sweep"];
  for (const auto& each : sweep) tokens.push_back(each["tokens"]);
  EXPECT_EQ(tokens, (std::vector<int>{256, 512, 700}));
}

TEST_F(BenchAttention, ASweepOfWindowsMeasuresDenseOnce) {
  for (const char* pattern : {"window", "longformer", "window_partition"}) {
    const Outcome outcome = quick({pattern, "--tokens", "64", "--sweep", "window", "--json"});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const auto sweep = parse_document(outcome.out)["sweep"];
    ASSERT_EQ(sweep.size(), 7) << pattern;
    for (const auto& each : sweep)
      EXPECT_EQ(each["dense_forward_ms"], sweep[0]["dense_forward_ms"]) << pattern;
    EXPECT_GT(sweep[6]["pairs"], sweep[0]["pairs"]) << pattern;
  }
  EXPECT_EQ(quick({"causal", "--sweep", "window"}).status, 2);
}

TEST_F(BenchAttention, ADenseSweepDrawsItsLineOnce) {
  const Outcome outcome =
      quick({"dense", "--tokens", "256", "--sweep", "tokens", "--plot", "plot.svg"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const std::string plot = read("plot.svg");
  EXPECT_THAT(plot, HasSubstr("heed, dense"));
  EXPECT_THAT(plot, Not(HasSubstr("share of pairs</text>")));
  EXPECT_EQ(plot.find("heed, dense"), plot.rfind("heed, dense"));
}

// Output and gradients of every form, one kernel beside the other: f32 sums of up to 343 terms (a
// window's, or a box's) in a chain of six, so 8 sqrt(343) 6 u = 5e-5.
TEST_F(BenchAttention, FormsOfANeighborhoodAgree) {
  const std::vector<std::vector<std::string>> problems = {
      {"--tokens", "97", "--window", "9"},
      {"--tokens", "61", "--window", "4", "--dilation", "5"},
      {"--tokens", "70", "--window", "7", "--dilation", "2", "--causal"},
      {"--grid", "9x11", "--window", "4"},
      {"--grid", "13x12", "--window", "3", "--dilation", "3"},
      {"--grid", "7x9x8", "--window", "7"},
      {"--grid", "5x6x7", "--window", "3", "--causal"}};
  for (const auto& problem : problems) {
    for (const char* form : {"fused", "masked", "naive", "product"}) {
      std::vector<std::string> arguments = problem;
      arguments.insert(arguments.begin(), {"neighborhood", "--json", "--form", form});
      const Outcome outcome = quick(arguments);
      ASSERT_EQ(outcome.status, 0) << outcome.err;
      const auto document = parse_document(outcome.out);
      EXPECT_LT(document["difference"], 5e-5) << form << " " << problem[1];
      EXPECT_EQ(document["form"], form);
      EXPECT_GT(document["peak_bytes"], 0);
    }
  }
}

TEST_F(BenchAttention, UnfusedFormsStandBesideTheKernels) {
  const Outcome outcome =
      quick({"neighborhood", "--grid", "9x9", "--window", "3", "--unfused", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto document = parse_document(outcome.out);
  EXPECT_GT(document["naive_forward_backward_ms"], 0.0);
  EXPECT_GT(document["product_forward_backward_ms"], 0.0);
}

TEST_F(BenchAttention, SizesThatAreNoneAreRefused) {
  const auto refused = [&](const std::vector<std::string>& arguments, const char* message) {
    const Outcome outcome = bench(arguments);
    EXPECT_EQ(outcome.status, 2) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  };
  refused({"neighborhood", "--grid", "56x56abc"}, "wants HxW");
  refused({"neighborhood", "--grid", "56x"}, "wants HxW");
  refused({"neighborhood", "--grid", "99999999999999999999x2"}, "wants HxW");
  refused({"neighborhood", "--grid", "3037000500x3037000500"}, "more than 16777216 tokens");
  refused({"window", "--grid", "56x56"}, "one of sequences");
  refused({"window_partition", "--window", "8", "--shift", "8"}, "--shift 8 of windows of 8");
  refused({"causal", "--heads", "8", "--kv-heads", "3"}, "does not divide");
  refused({"window", "--form", "naive"}, "is one of neighborhoods");
  refused({"neighborhood", "--stride", "2", "--form", "product"}, "without a stride");
  refused({"lengths", "--batch", "2", "--form", "masked"}, "--form masked have one mask");
  refused({"window", "--form", "fused", "--sweep", "tokens"}, "--sweep");
  refused({"neighborhood", "--form", "fused", "--unfused"}, "--unfused");
  refused({"windw"}, "did you mean 'window'?");
}

}  // namespace
}  // namespace heed::tools
