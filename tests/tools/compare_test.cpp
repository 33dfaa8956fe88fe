// Comparisons by the command: trained and measured, gone on with, narrowed, asked for wrongly.
#include <gmock/gmock.h>

#include <filesystem>

#include "heed_command.h"

namespace heed::tools {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr char kComparison[] = R"(
title: more steps and fewer
tests:
  - name: text
    recipe: tiny.yaml
    columns: [{metric: loss}]
  - name: step
    recipe: tiny.yaml
    bench: [step, --steps, "2", --warmup, "1"]
    columns: [{metric: step_ms.median, unit: ms}, {metric: peak_tensor_bytes, unit: bytes}]
  - name: decode
    recipe: tiny.yaml
    bench: [decode, --tokens, "4", --seconds, "0"]
    columns: [{metric: tokens_per_second, better: higher}]
arms:
  - {name: few, overrides: [train.steps=10]}
  - {name: many, overrides: [train.steps=120]}
)";

class Compare : public CommandTest {
 protected:
  void write_comparison() const {
    write_tiny_recipe("sides/tiny.yaml");
    fs::copy_file(path("text.txt"), path("sides/text.txt"), fs::copy_options::overwrite_existing);
    write("sides/compare.yaml", kComparison);
  }
};

TEST_F(Compare, GivesATableAsTextJsonAndPage) {
  write_comparison();
  const Outcome outcome = heed({"compare", "sides", "--out", "out", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const nlohmann::json document = parse_document(outcome.out);
  EXPECT_EQ(document, parse_document(read("out/compare.result.json")));
  EXPECT_EQ(document["command"], "heed compare sides --seeds 1");
  const nlohmann::json& many = document["arms"][1];
  EXPECT_LT(many["results"]["text"]["loss"]["mean"],
            document["arms"][0]["results"]["text"]["loss"]["mean"]);
  EXPECT_GT(many["results"]["step"]["step_ms.median"]["mean"], 0);
  EXPECT_GT(many["results"]["step"]["peak_tensor_bytes"]["mean"], 1000);
  EXPECT_GT(many["results"]["decode"]["tokens_per_second"]["mean"], 0);
  EXPECT_GT(many["parameters"]["text"], 0);
  EXPECT_EQ(outcome.out.find(path()), std::string::npos) << "a path of this machine";
  EXPECT_THAT(read("out/compare.html"), HasSubstr("more steps and fewer"));
  EXPECT_THAT(read("out/compare.md"), HasSubstr("| many |"));

  const Outcome again = heed({"compare", "sides", "--out", "out"});
  EXPECT_EQ(again.status, 0);
  EXPECT_THAT(again.out, HasSubstr("going on: 2 are finished"));
  EXPECT_EQ(parse_document(read("out/compare.result.json")), document) << "measured again";

  const std::string page = read("out/compare.html");
  ASSERT_EQ(heed({"report", "out"}).status, 0);
  EXPECT_EQ(read("out/report.html"), page);
}

TEST_F(Compare, TestsAndArmsCanBeNamed) {
  write_comparison();
  const Outcome outcome =
      heed({"compare", "sides", "--out", "out", "--tests", "text", "--arms", "few"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_FALSE(exists("out/step"));
  EXPECT_FALSE(exists("out/text/many"));
  EXPECT_TRUE(exists("out/text/few/seed-1"));
}

// What another run left, and what this one leaves out, is none of this one's.
TEST_F(Compare, IsOfItsOwnArmsAndTestsAlone) {
  write_comparison();
  std::string text(kComparison);
  text += "  - {name: odd, overrides: [train.steps=10], skips: [step, decode]}\n";
  write("sides/compare.yaml", text);
  ASSERT_EQ(heed({"compare", "sides", "--out", "out", "--tests", "text"}).status, 0);
  const std::string whole = read("out/compare.html");
  EXPECT_THAT(whole, HasSubstr("odd"));

  // `many` cannot be planned any more, which is no matter to the others.
  const size_t steps = text.find("train.steps=120");
  text.replace(steps, 15, "train.steps=-10");
  write("sides/compare.yaml", text);
  const Outcome few =
      heed({"compare", "sides", "--out", "out", "--tests", "step", "--arms", "few,odd"});
  ASSERT_EQ(few.status, 0) << few.out << few.err;
  EXPECT_THAT(few.out, ::testing::Not(HasSubstr("odd")));
  EXPECT_FALSE(exists("out/step/odd"));
  const nlohmann::json document = parse_document(read("out/compare.result.json"));
  ASSERT_EQ(document["arms"].size(), 1u);
  EXPECT_EQ(document["tests"].size(), 1u);
  EXPECT_THAT(read("out/compare.html"), ::testing::Not(HasSubstr(">odd<")));

  const Outcome none =
      heed({"compare", "sides", "--out", "other", "--tests", "step", "--arms", "odd"});
  EXPECT_EQ(none.status, 2);
  EXPECT_THAT(none.err, HasSubstr("there is nothing to run: the arms skip the tests"));
  EXPECT_FALSE(exists("other"));
}

TEST_F(Compare, DecodingCountsTheCacheAlone) {
  write_tiny_recipe("tiny.yaml");
  const auto state_bytes = [&](const char* tokens, const std::string& setting) {
    const Outcome outcome = heed({"bench", "decode", "tiny.yaml", setting, "--prompt", "5",
                                  "--tokens", tokens, "--seconds", "0", "--json"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return parse_document(outcome.out)["state_bytes"].get<int64_t>();
  };
  // Keys and values of every token; or a state that has one size.
  const int64_t token = 2 * 16 * 4;  // one layer of 16 channels, in f32
  EXPECT_EQ(state_bytes("4", "seed=1"), (5 + 4) * token);
  EXPECT_EQ(state_bytes("7", "seed=1"), (5 + 7) * token);
  EXPECT_EQ(state_bytes("4", "model.attention.type=linear"),
            state_bytes("7", "model.attention.type=linear"));
}

TEST_F(Compare, WrongRequestsWriteNothing) {
  write_comparison();
  const auto before = everything();
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"compare", "lm-compere"},
       "there is no comparison 'lm-compere' (did you mean 'lm-compare'?)"},
      {{"compare", "sides", "--tests", "texts"}, "there is no test 'texts' (did you mean 'text'?)"},
      {{"compare", "sides", "--arms", "men"}, "there is no arm 'men'"},
      {{"compare", "sides", "--only", "text:many:7"}, "there is no run 'text:many:7'"},
      {{"compare", "sides", "--seeds", "-1"}, "--seeds"},
      {{"bench", "decode", "sides/tiny.yaml", "--tokens", "9999", "--prompt", "9"},
       "are more than the context"},
  };
  for (const auto& [arguments, message] : cases) {
    const Outcome outcome = heed(arguments);
    EXPECT_EQ(outcome.status, 2) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
  EXPECT_EQ(everything(), before);
}

TEST_F(Compare, EveryListedComparisonIsRead) {
  const nlohmann::json listed = parse_document(heed({"list", "comparisons", "--json"}).out);
  std::vector<std::string> names;
  for (const auto& item : listed["comparisons"]) names.push_back(item["name"]);
  EXPECT_THAT(names, ::testing::Contains("lm-compare"));
  for (const std::string& name : names) {
    // Plans every arm of every test, then finds no such run.
    const Outcome outcome = heed({"compare", name, "--only", "none"});
    EXPECT_EQ(outcome.status, 2);
    EXPECT_THAT(outcome.err, HasSubstr("there is no run 'none'"));
  }
}

}  // namespace
}  // namespace heed::tools
