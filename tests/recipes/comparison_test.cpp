#include "recipes/engine/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "recipes/engine/comparison_result.h"
#include "recipes/engine/report/comparison_page.h"
#include "tests/recipes/tiny.h"

namespace heed::recipes {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr char kComparison[] = R"(
title: narrow and wide
seeds: 2
tests:
  - name: text
    recipe: tiny.yaml
    overrides: [train.steps=4]
    columns: [{metric: loss, title: nats}, {metric: accuracy, better: higher}]
  - name: step
    recipe: tiny.yaml
    bench: [step, --steps, "2"]
    columns: [{metric: peak_tensor_bytes, unit: bytes}]
arms:
  - {name: narrow, overrides: [model.dim=8]}
  - {name: wide, overrides: [model.dim=16], skips: [step]}
)";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

Comparison read(const Scratch& folder, const std::string& text = kComparison) {
  write_tiny(folder);
  return load_comparison(folder.write("compare.yaml", text));
}

std::string error_of(const std::string& text) {
  const Scratch folder;
  try {
    plan_comparison(read(folder, text));
  } catch (const RequestError& error) {
    return error.what();
  }
  return "(no error)";
}

TEST(Comparison, PlansEveryTestOfEveryArm) {
  const Scratch folder;
  const ComparisonPlan plan = plan_comparison(read(folder), folder.path("out"));
  ASSERT_EQ(plan.tests.size(), 2u);
  std::vector<std::string> labels;
  for (const ClaimRun& run : plan.tests[0].runs) labels.push_back(run.label());
  EXPECT_THAT(labels, ElementsAre("narrow:1", "wide:1", "narrow:2", "wide:2"));
  EXPECT_THAT(plan.tests[0].runs[1].overrides,
              ElementsAre("train.steps=4", "model.dim=16", "seed=1"));
  EXPECT_EQ(plan.tests[0].runs[3].folder, folder.path("out/text/wide/seed-2"));
  EXPECT_THAT(plan.tests[0].claim.metrics_of("wide"), ElementsAre("loss", "accuracy"));
  ASSERT_EQ(plan.tests[1].runs.size(), 2u) << "wide skips it";
  EXPECT_THAT(plan.tests[1].runs[0].bench,
              ElementsAre("step", folder.path("tiny.yaml"), "--steps", "2", "model.dim=8"));
  EXPECT_EQ(plan_comparison(plan.comparison, "", 5).tests[0].runs.size(), 10u);
}

TEST(Comparison, CanBeNarrowed) {
  const Scratch folder;
  const Comparison some = read(folder).only({"text"}, {"wide"});
  ASSERT_EQ(some.tests.size(), 1u);
  ASSERT_EQ(some.arms.size(), 1u);
  EXPECT_EQ(some.arms[0].name, "wide");
  EXPECT_THROW(some.only({}, {"narrow"}), RequestError);
}

TEST(Comparison, ErrorsSayWhereAndWhat) {
  EXPECT_THAT(error_of(replaced(kComparison, "better: higher", "better: more")),
              HasSubstr("compare.yaml:8"));
  EXPECT_THAT(error_of(replaced(kComparison, "skips: [step]", "skips: [stop]")),
              HasSubstr("there is no test 'stop' (did you mean 'step'?)"));
  EXPECT_THAT(error_of(replaced(kComparison, "name: wide", "name: narrow")),
              HasSubstr("'arms': the name 'narrow' is used twice"));
  EXPECT_THAT(error_of(replaced(kComparison, "{metric: peak_tensor_bytes, unit: bytes}", "")),
              HasSubstr("test 'step' shows nothing"));
  EXPECT_THAT(error_of(replaced(kComparison, "model.dim=16", "train.step=3")),
              HasSubstr("(did you mean 'steps'?)"));
  EXPECT_THAT(error_of(replaced(kComparison, "recipe: tiny.yaml", "recipe: none.yaml")),
              HasSubstr("there is no file"));
}

/// A result with these losses, and accuracies of 0.5; `wide` may have failed.
ComparisonResult measured(const Scratch& folder, double narrow, double wide, bool failed = false) {
  ComparisonResult result;
  result.plan = plan_comparison(read(folder), folder.path("out"));
  for (const ClaimPlan& plan : result.plan.tests) {
    ClaimResult test;
    test.plan = plan;
    for (const ClaimRun& run : plan.runs) {
      ClaimRunOutcome outcome{run, {}, ""};
      const double loss = (run.arm == "wide" ? wide : narrow) + 0.1 * static_cast<double>(run.seed);
      if (failed && run.arm == "wide") {
        outcome.error = "it fell <over>";
      } else {
        outcome.result = ClaimRunResult{
            .parameters = 1000,
            .points = {
                {"trained", {{"loss", loss}, {"accuracy", 0.5}, {"peak_tensor_bytes", 2048.0}}}}};
      }
      test.runs.push_back(std::move(outcome));
    }
    result.tests.push_back(std::move(test));
  }
  return result;
}

TEST(Comparison, MarksTheBestOfEachColumn) {
  const Scratch folder;
  const Config document = to_config(measured(folder, 2.0, 1.0), "command", "version");
  const Config& columns = document.at("tests").as_list()[0].at("columns");
  const auto loss = column_cells(document, "text", columns.as_list()[0]);
  ASSERT_EQ(loss.size(), 2u);
  EXPECT_DOUBLE_EQ(loss[0].mean, 2.15);
  EXPECT_FALSE(loss[0].best);
  EXPECT_TRUE(loss[1].best);
  EXPECT_DOUBLE_EQ(loss[0].part, 1.15 / 2.15);
  EXPECT_EQ(loss[1].runs, 2);
  EXPECT_EQ(cell_text(loss[1], columns.as_list()[0]), "1.15 ± 0.07071");
  for (const ComparisonCell& equal : column_cells(document, "text", columns.as_list()[1]))
    EXPECT_FALSE(equal.best) << "nobody is where all are equal";
  const Config& bytes = document.at("tests").as_list()[1].at("columns").as_list()[0];
  const auto memory = column_cells(document, "step", bytes);
  EXPECT_EQ(cell_text(memory[0], bytes), "2.0 KiB");
  EXPECT_EQ(cell_text(memory[1], bytes), "") << "it skips the test";
}

TEST(Comparison, ThePageHasTableAndFailures) {
  const Scratch folder;
  const Config document = to_config(measured(folder, 2.0, 1.0, true), "heed compare x", "1");
  EXPECT_EQ(document.at("failed").as_list().size(), 2u);
  const std::string page = comparison_page(document, folder.path("nowhere"));
  EXPECT_THAT(page, HasSubstr("narrow and wide"));
  EXPECT_THAT(page, HasSubstr("2.15 ± 0.07071"));
  EXPECT_THAT(page, HasSubstr("it fell &lt;over&gt;"));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  EXPECT_EQ(comparison_markdown(document),
            "| | text: nats | text: accuracy | step: peak tensor bytes |\n|---|---|---|---|\n"
            "| narrow | 2.15 ± 0.07071 | 0.5 ± 0 | 2.0 KiB |\n| wide |  |  |  |\n");
}

}  // namespace
}  // namespace heed::recipes
