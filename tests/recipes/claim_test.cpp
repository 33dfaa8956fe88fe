#include "recipes/engine/claim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "recipes/engine/claim_runner.h"
#include "recipes/engine/report/claim_page.h"
#include "tests/recipes/tiny.h"

namespace heed::recipes {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kClaim[] = R"(
title: wide beats narrow
paper: nobody, nowhere
statement: wider is better
metric: {name: loss, better: lower}
arms:
  - {name: narrow, role: baseline, overrides: [model.dim=8]}
  - {name: wide, role: method, overrides: [model.dim=16]}
points:
  - {name: short, overrides: [evaluation.max_batches=1]}
  - {name: long}
relations:
  - {method: wide, baseline: narrow, at: long, margin: 0.5}
sizes:
  mini: {recipe: tiny.yaml, seeds: 2, overrides: [train.steps=4, model.position=rotary]}
)";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

Claim read(const Scratch& folder, const std::string& text = kClaim) {
  write_tiny(folder);
  return load_claim(folder.write("claim.yaml", text));
}

std::string error_of(const std::string& text) {
  const Scratch folder;
  try {
    plan_claim(read(folder, text), "mini");
  } catch (const RequestError& error) {
    return error.what();
  }
  return "(no error)";
}

TEST(Claim, PlansEveryArmWithEverySeed) {
  const Scratch folder;
  const ClaimPlan plan = plan_claim(read(folder), "mini", folder.path("out"));
  std::vector<std::string> labels;
  for (const ClaimRun& run : plan.runs) labels.push_back(run.label());
  EXPECT_THAT(labels, ElementsAre("narrow:1", "wide:1", "narrow:2", "wide:2"));
  EXPECT_THAT(plan.runs[3].overrides,
              ElementsAre("train.steps=4", "model.position=rotary", "model.dim=16", "seed=2"));
  EXPECT_EQ(plan.runs[3].folder, folder.path("out/wide/seed-2"));
  EXPECT_EQ(plan_claim(plan.claim, "mini", "", 5).runs.size(), 10u);
}

TEST(Claim, ErrorsSayWhereAndWhat) {
  EXPECT_THAT(error_of(replaced(kClaim, "better: lower", "better: less")),
              HasSubstr("claim.yaml:5:30"));
  EXPECT_THAT(error_of(replaced(kClaim, "method: wide", "method: wyde")),
              HasSubstr("there is no arm 'wyde' (did you mean 'wide'?)"));
  EXPECT_THAT(error_of(replaced(kClaim, "at: long", "at: lang")),
              HasSubstr("claim.yaml:13:42: there is no point 'lang' (did you mean 'long'?)"));
  EXPECT_THAT(error_of(replaced(kClaim, ", margin: 0.5", "")),
              HasSubstr("'relations[0].margin' is missing"));
  EXPECT_THAT(error_of(replaced(kClaim, "name: wide", "name: narrow")),
              HasSubstr("'arms': the name 'narrow' is used twice"));
  EXPECT_THAT(error_of(replaced(kClaim, "name: wide", "name: ../wide")), HasSubstr("'../wide'"));
  EXPECT_THAT(error_of(replaced(kClaim, "recipe: tiny.yaml", "recipe: none.yaml")),
              HasSubstr("arm narrow has no size 'mini': there is no file"));
  EXPECT_THAT(error_of(replaced(kClaim, "model.dim=16", "train.step=3")),
              HasSubstr("(did you mean 'steps'?)"));
  EXPECT_THAT(error_of(replaced(kClaim, "baseline: narrow", "baseline: wide")),
              HasSubstr("both sides of this one are the same"));
}

TEST(Claim, SizesBringTheirOwnPointsUnderTheSameNames) {
  const Scratch folder;
  const std::string own = "mini: {points: [{name: short}, {name: long, overrides: [seed=2]}], ";
  EXPECT_EQ(read(folder, replaced(kClaim, "mini: {", own)).points_of("mini")[1].overrides.size(),
            1u);
  EXPECT_THAT(error_of(replaced(kClaim, "mini: {", "mini: {points: [{name: short}], ")),
              HasSubstr("(short)"));
}

/// A result with these losses at "long" (and these less 1 at "short"), seed by seed.
ClaimResult judged(const Scratch& folder, const std::string& text,
                   const std::vector<double>& narrow, const std::vector<double>& wide) {
  ClaimResult result;
  result.plan = plan_claim(read(folder, text), "mini", folder.path("out"),
                           static_cast<int64_t>(narrow.size()));
  for (const ClaimRun& run : result.plan.runs) {
    const auto& values = run.arm == "narrow" ? narrow : wide;
    const double value = values[static_cast<size_t>(run.seed - 1)];
    ClaimRunOutcome outcome{run, {}, ""};
    if (std::isnan(value)) {
      outcome.error = "it fell over";
    } else {
      outcome.result = ClaimRunResult{
          .points = {{"short", {{"loss", value - 1.0}}}, {"long", {{"loss", value}}}}};
    }
    result.runs.push_back(std::move(outcome));
  }
  judge(result);
  return result;
}

TEST(Claim, IsConfirmedWhenTheIntervalLiesBeyondTheMargin) {
  const Scratch folder;
  const ClaimResult result = judged(folder, kClaim, {3.0, 3.1, 2.9}, {2.0, 2.1, 1.9});
  EXPECT_EQ(result.verdict, Verdict::confirmed);
  // By hand: variances 0.01, standard error sqrt(0.02 / 3), 4 degrees of freedom.
  EXPECT_NEAR(result.relations[0].effect.value, 1.0, 1e-12);
  EXPECT_NEAR(result.relations[0].effect.low, 1.0 - 2.77645 * std::sqrt(0.02 / 3.0), 1e-5);
}

TEST(Claim, IsRefutedWhenTheIntervalLiesShortOfIt) {
  const Scratch folder;
  EXPECT_EQ(judged(folder, kClaim, {2.0, 2.1, 1.9}, {2.0, 2.1, 1.9}).verdict, Verdict::refuted);
}

TEST(Claim, IsInconclusiveWhenTheIntervalHoldsTheMargin) {
  const Scratch folder;
  EXPECT_EQ(judged(folder, kClaim, {3.0, 2.0, 4.0}, {2.0, 1.0, 3.0}).verdict,
            Verdict::inconclusive);
}

TEST(Claim, OneRunASideTellsNothing) {
  const Scratch folder;
  const ClaimResult result = judged(folder, kClaim, {3.0, NAN}, {2.0, 2.0});
  EXPECT_EQ(result.verdict, Verdict::inconclusive);
  EXPECT_THAT(result.relations[0].reason, HasSubstr("two runs"));
  EXPECT_EQ(result.failures(), 1);
  const Config document = to_config(result, "command", "version");
  EXPECT_THAT(document.to_json(), HasSubstr("it fell over"));
}

TEST(Claim, HigherIsBetterTurnsTheSignRound) {
  const Scratch folder;
  const std::string text = replaced(kClaim, "better: lower", "better: higher");
  EXPECT_EQ(judged(folder, text, {2.0, 2.1, 1.9}, {3.0, 3.1, 2.9}).verdict, Verdict::confirmed);
  EXPECT_EQ(judged(folder, text, {3.0, 3.1, 2.9}, {2.0, 2.1, 1.9}).verdict, Verdict::refuted);
}

TEST(Claim, RatiosAreOfGeometricMeans) {
  const Scratch folder;
  const std::string text = replaced(kClaim, "margin: 0.5", "margin: 1.5, compare: ratio");
  const ClaimResult result = judged(folder, text, {4.0, 4.4, 3.6}, {2.0, 2.2, 1.8});
  EXPECT_NEAR(result.relations[0].effect.value, 2.0, 1e-12);
  EXPECT_EQ(result.verdict, Verdict::confirmed);
}

TEST(Claim, OneArmAtTwoPointsIsPairedOverItsSeeds) {
  const Scratch folder;
  const std::string text =
      replaced(kClaim, "{method: wide, baseline: narrow, at: long, margin: 0.5}",
               "{method: wide, baseline: wide, at: short, baseline_at: long, margin: 0.9}");
  // Seeds differ by far more than the points; the points by 1 in each.
  const ClaimResult result = judged(folder, text, {1.0, 1.0, 1.0}, {3.0, 30.0, 300.0});
  EXPECT_EQ(result.verdict, Verdict::confirmed);
  EXPECT_NEAR(result.relations[0].effect.low, 1.0, 1e-9);
}

constexpr char kBenchClaim[] = R"(
title: fast is faster and smaller
paper: nobody, nowhere
statement: fast is faster
metric: {name: ms, better: lower}
arms:
  - {name: slow, role: baseline, bench: [attention, --form, slow]}
  - {name: fast, role: method, bench: [attention, --form, fast]}
points:
  - {name: one, overrides: [--tokens, "1"]}
  - {name: two, overrides: [--tokens, "2"]}
relations:
  - {method: fast, baseline: slow, at: two, compare: ratio, margin: 2}
  - {method: fast, baseline: slow, at: two, metric: bytes, compare: ratio, margin: 2}
sizes:
  mini: {seeds: 2, overrides: [--seconds, "0.5"]}
)";

TEST(Claim, BenchmarksAreArmsToo) {
  const Scratch folder;
  ClaimPlan plan = plan_claim(read(folder, kBenchClaim), "mini", folder.path("out"));
  EXPECT_THAT(plan.runs[1].bench, ElementsAre("attention", "--form", "fast", "--seconds", "0.5"));
  std::vector<std::string> last;
  double noise = 0.0;
  plan.bench = [&](const std::vector<std::string>& arguments) -> Metrics {
    last = arguments;
    const bool slow = arguments[2] == "slow", two = arguments.back() == "2";
    noise += 1e-3;
    // Five times as fast, and as large.
    return {{"ms", (slow ? 5.0 : 1.0) * (two ? 2.0 : 1.0) + noise}, {"bytes", 100.0 + noise}};
  };
  ClaimObserver silent;
  const ClaimResult result = run_claim(plan, {}, silent);
  ASSERT_EQ(result.failures(), 0) << result.runs[0].error;
  EXPECT_THAT(last,
              ElementsAre("attention", "--form", "fast", "--seconds", "0.5", "--tokens", "2"));
  EXPECT_NEAR(result.values("slow", "two")[0], 10.0, 0.1);
  EXPECT_EQ(result.values("slow", "two", "bytes").size(), 2u);
  EXPECT_EQ(result.relations[0].verdict, Verdict::confirmed);
  EXPECT_EQ(result.relations[1].verdict, Verdict::refuted);
  EXPECT_EQ(relation_text(result.relations[1].relation),
            "bytes of fast at two beats slow by a factor of more than 2");
  const Config document = to_config(result, "heed reproduce x", "0");
  const Config& arm = document.at("arms").as_list()[1];
  EXPECT_EQ(arm.at("bench").as_list().size(), 5u);
  EXPECT_EQ(arm.at("other_metrics").at("bytes").as_list().size(), 2u);
  EXPECT_THAT(claim_page(result, "heed reproduce x", "0"), HasSubstr("bytes of fast"));

  // Finished ones are found; other arguments are another experiment.
  plan.bench = nullptr;
  EXPECT_EQ(run_claim(plan, {}, silent).failures(), 0);
  plan.runs[0].bench.back() = "0.6";
  EXPECT_THROW(finished_run(plan, plan.runs[0]), RequestError);
  EXPECT_THAT(error_of(replaced(kBenchClaim, "bench: [attention, --form, slow]",
                                "bench: [attention], recipe: tiny.yaml")),
              HasSubstr("a recipe or a benchmark"));
}

// A relation's own metric is asked of its arms alone.
TEST(Claim, AMetricThatAnArmLacksFailsTheRun) {
  const Scratch folder;
  const std::string text = replaced(kClaim, "margin: 0.5", "metric: bits_per_byte, margin: 0.5");
  const Claim claim = read(folder, text);
  EXPECT_THAT(claim.metrics_of("wide"), ElementsAre("loss", "bits_per_byte"));
  EXPECT_THAT(claim.metrics_of("nobody"), ElementsAre("loss"));

  ClaimPlan plan = plan_claim(read(folder, kBenchClaim), "mini", folder.path("out"));
  plan.bench = [](const std::vector<std::string>& arguments) -> Metrics {
    if (arguments[2] == "fast") return {{"ms", 1.0}, {"byte", 1.0}};
    return {{"ms", 2.0}, {"bytes", 2.0}};
  };
  ClaimObserver silent;
  const ClaimResult result = run_claim(plan, {}, silent);
  EXPECT_EQ(result.failures(), 2);
  for (const ClaimRunOutcome& outcome : result.runs) {
    EXPECT_EQ(outcome.result.has_value(), outcome.run.arm == "slow") << outcome.run.label();
    if (!outcome.result) {
      EXPECT_THAT(outcome.error, HasSubstr("no 'bytes' (did you mean 'byte'?)"));
    }
  }
  const std::string page = claim_page(result, "c", "v");
  EXPECT_THAT(page, HasSubstr("failed: "));
  EXPECT_EQ(page.find(" parameters, "), std::string::npos) << "of a benchmark";
}

TEST(Claim, OneRefutedRelationRefutesAll) {
  const Scratch folder;
  const std::string text = replaced(kClaim, "sizes:",
                                    "  - {method: wide, baseline: narrow, at: long, margin: 5}\n"
                                    "sizes:");
  EXPECT_EQ(judged(folder, text, {3.0, 3.1, 2.9}, {2.0, 2.1, 1.9}).verdict, Verdict::refuted);
}

TEST(Claim, RunsMeasuresAndGoesOnWithWhatIsFinished) {
  const Scratch folder;
  const Claim claim = read(folder);
  const ClaimPlan plan = plan_claim(claim, "mini", folder.path("out"));
  ClaimObserver silent;
  const ClaimResult first = run_claim(plan, {}, silent);
  ASSERT_EQ(first.failures(), 0);
  EXPECT_EQ(first.values("wide", "long").size(), 2u);
  EXPECT_NE(first.values("wide", "long")[0], first.values("wide", "long")[1]);

  // One run is forgotten: the others are found, and the result is the same.
  std::filesystem::remove_all(plan.runs[2].folder);
  struct Counter : ClaimObserver {
    void on_run(const ClaimRunOutcome&, bool found) override { ++(found ? found_ : made_); }
    int found_ = 0, made_ = 0;
  } counter;
  const ClaimResult second = run_claim(plan, {}, counter);
  EXPECT_EQ(counter.found_, 3);
  EXPECT_EQ(counter.made_, 1);
  const std::string document = to_config(first, "c", "v").to_json(2);
  EXPECT_EQ(document, to_config(second, "c", "v").to_json(2));
  EXPECT_EQ(document.find(folder.path()), std::string::npos) << "a path of this machine";

  const std::string page = claim_page(first, "c", "v");
  EXPECT_THAT(page, HasSubstr("wide beats narrow"));
  EXPECT_THAT(page, HasSubstr("<svg"));
}

TEST(Claim, AnotherRecipeInTheFolderIsAnError) {
  const Scratch folder;
  ClaimObserver silent;
  run_claim(plan_claim(read(folder), "mini", folder.path("out")), {}, silent);
  const Claim changed = read(folder, replaced(kClaim, "train.steps=4", "train.steps=5"));
  EXPECT_THROW(run_claim(plan_claim(changed, "mini", folder.path("out")), {}, silent),
               RequestError);
}

TEST(Claim, AMarginMovedLaterIsOnRecord) {
  const Scratch folder;
  struct Warnings : ClaimObserver {
    void on_warning(const std::string& message) override { text += message; }
    std::string text;
  } warnings;
  const Claim before = read(folder);
  run_claim(plan_claim(before, "mini", folder.path("out")), {}, warnings);
  EXPECT_EQ(warnings.text, "");
  const Claim after = read(folder, replaced(kClaim, "margin: 0.5", "margin: -9"));
  const ClaimResult result = run_claim(plan_claim(after, "mini", folder.path("out")), {}, warnings);
  EXPECT_EQ(result.sha256_at_start, before.sha256);
  ASSERT_EQ(result.changes.size(), 1u);
  EXPECT_THAT(result.changes[0], HasSubstr("relations"));
  EXPECT_THAT(warnings.text, HasSubstr("has changed since its first run started"));
}

TEST(Claim, NewPointsAreMeasuredWithoutTrainingAgain) {
  const Scratch folder;
  ClaimObserver silent;
  run_claim(plan_claim(read(folder), "mini", folder.path("out")), {}, silent);
  const std::string log = slurp(folder.path("out/wide/seed-1/metrics.jsonl"));
  const Claim more =
      read(folder, replaced(kClaim, "  - {name: long}\n", "  - {name: long}\n  - {name: more}\n"));
  const ClaimResult result = run_claim(plan_claim(more, "mini", folder.path("out")), {}, silent);
  EXPECT_EQ(result.values("wide", "more"), result.values("wide", "long"));
  EXPECT_EQ(slurp(folder.path("out/wide/seed-1/metrics.jsonl")), log);
}

}  // namespace
}  // namespace heed::recipes
