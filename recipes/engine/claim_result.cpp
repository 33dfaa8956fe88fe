#include "recipes/engine/claim_result.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/readable.h"

namespace heed::recipes {
namespace {

/// The relation's two samples, on a scale where improvements are positive differences.
struct Sides {
  std::vector<double> method, baseline;
};

Sides sides_of(const ClaimResult& result, const ClaimRelation& relation, bool paired) {
  const bool lower = result.plan.claim.metric.better == "lower";
  const bool ratio = relation.compare == "ratio";
  const auto scaled = [&](double value) {
    const double x = ratio ? std::log(value) : value;
    return lower ? -x : x;
  };
  Sides sides;
  if (!paired) {
    for (const double v : result.values(relation.method, relation.at, relation.metric)) {
      sides.method.push_back(scaled(v));
    }
    for (const double v : result.values(relation.baseline, relation.baseline_at, relation.metric)) {
      sides.baseline.push_back(scaled(v));
    }
    return sides;
  }
  for (const ClaimRunOutcome& run : result.runs) {
    if (run.run.arm != relation.method || !run.result) continue;
    const std::string& metric =
        relation.metric.empty() ? result.plan.claim.metric.name : relation.metric;
    sides.method.push_back(scaled(run.result->value(metric, relation.at)));
    sides.baseline.push_back(scaled(run.result->value(metric, relation.baseline_at)));
  }
  return sides;
}

RelationOutcome judge_relation(const ClaimResult& result, const ClaimRelation& relation) {
  RelationOutcome outcome;
  outcome.relation = relation;
  const bool ratio = relation.compare == "ratio";
  const bool paired = relation.method == relation.baseline;
  const Sides sides = sides_of(result, relation, paired);
  for (const std::vector<double>* side : {&sides.method, &sides.baseline}) {
    for (const double value : *side) {
      if (!std::isfinite(value)) outcome.reason = "a ratio needs values above 0";
    }
  }
  if (sides.method.empty() || sides.baseline.empty()) outcome.reason = "a side has no run";
  if (!outcome.reason.empty()) {
    outcome.effect = {NAN, NAN, NAN};
    return outcome;
  }
  const Estimate effect = paired ? paired_difference(sides.method, sides.baseline)
                                 : welch_difference(sides.method, sides.baseline);
  const double margin = ratio ? std::log(relation.margin) : relation.margin;
  outcome.effect = effect;
  if (ratio) {
    outcome.effect = {std::exp(effect.value), std::exp(effect.low), std::exp(effect.high)};
  }
  if (std::min(sides.method.size(), sides.baseline.size()) < 2) {
    outcome.reason = "an interval needs two runs of each side at least";
  } else if (effect.low > margin) {
    outcome.verdict = Verdict::confirmed;
  } else if (effect.high < margin) {
    outcome.verdict = Verdict::refuted;
  }
  return outcome;
}

Config numbers(const Estimate& estimate) {
  Config interval = Config::list();
  interval.append(estimate.low);
  interval.append(estimate.high);
  return interval;
}

Config strings(const std::vector<std::string>& texts) {
  Config list = Config::list();
  for (const std::string& text : texts) list.append(text);
  return list;
}

/// The recipe's path from the claim's folder.
std::string recipe_name(const ClaimResult& result, const std::string& file) {
  namespace fs = std::filesystem;
  return fs::path(file)
      .lexically_relative(fs::path(result.plan.claim.file).parent_path().lexically_normal())
      .string();
}

Config runs_config(const ClaimResult& result, const std::string& arm) {
  Config list = Config::list();
  for (const ClaimRunOutcome& outcome : result.runs) {
    if (outcome.run.arm != arm) continue;
    Config entry = Config::map();
    entry.set("seed", outcome.run.seed);
    entry.set("state", outcome.result ? "done" : "failed");
    if (!outcome.result) {
      entry.set("error", outcome.error);
    } else {
      entry.set("step", outcome.result->step);
      Config points = Config::map();
      for (const auto& [point, metrics] : outcome.result->points) {
        Config values = Config::map();
        for (const auto& [name, value] : metrics) values.set(name, value);
        points.set(point, values);
      }
      entry.set("metrics", points);
    }
    list.append(entry);
  }
  return list;
}

/// An arm's values of a metric at every point, with their mean and its interval.
Config points_config(const ClaimResult& result, const std::string& arm, const std::string& metric) {
  Config points = Config::list();
  for (const ClaimPoint& point : result.plan.points) {
    const std::vector<double> values = result.values(arm, point.name, metric);
    const Spread spread = spread_of(values);
    Config at = Config::map();
    at.set("point", point.name);
    Config list = Config::list();
    for (const double value : values) list.append(value);
    at.set("values", list);
    if (spread.count > 0) at.set("mean", spread.mean);
    if (spread.count > 1) {
      at.set("deviation", spread.deviation);
      at.set("interval", numbers(mean_estimate(values)));
    }
    points.append(at);
  }
  return points;
}

Config arm_config(const ClaimResult& result, const ClaimArm& arm) {
  Config entry = Config::map();
  entry.set("name", arm.name);
  entry.set("role", arm.role);
  for (const ClaimRunOutcome& outcome : result.runs) {
    if (outcome.run.arm != arm.name) continue;
    if (outcome.run.recipe.empty()) {
      entry.set("bench", strings(outcome.run.bench));
      break;
    }
    std::vector<std::string> overrides = outcome.run.overrides;
    overrides.pop_back();  // the seed's
    entry.set("recipe", recipe_name(result, outcome.run.recipe));
    entry.set("overrides", strings(overrides));
    if (outcome.result) entry.set("parameters", outcome.result->parameters);
    if (outcome.result) break;
  }
  const std::vector<std::string> metrics = result.plan.claim.metrics_of(arm.name);
  entry.set("points", points_config(result, arm.name, metrics.front()));
  for (size_t m = 1; m < metrics.size(); ++m) {
    Config others = m == 1 ? Config::map() : entry.at("other_metrics");
    others.set(metrics[m], points_config(result, arm.name, metrics[m]));
    entry.set("other_metrics", others);
  }
  entry.set("runs", runs_config(result, arm.name));
  return entry;
}

Config relation_config(const RelationOutcome& outcome) {
  Config entry = write_options(outcome.relation);
  entry.set("text", relation_text(outcome.relation));
  entry.set("effect", outcome.effect.value);
  entry.set("interval", numbers(outcome.effect));
  entry.set("verdict", verdict_name(outcome.verdict));
  if (!outcome.reason.empty()) entry.set("reason", outcome.reason);
  return entry;
}

}  // namespace

const char* verdict_name(Verdict verdict) {
  if (verdict == Verdict::confirmed) return "confirmed";
  return verdict == Verdict::refuted ? "refuted" : "inconclusive";
}

int64_t ClaimResult::failures() const {
  return std::count_if(runs.begin(), runs.end(),
                       [](const ClaimRunOutcome& run) { return !run.result; });
}

std::vector<double> ClaimResult::values(const std::string& arm, const std::string& point,
                                        const std::string& metric) const {
  const std::string& name = metric.empty() ? plan.claim.metric.name : metric;
  std::vector<double> list;
  for (const ClaimRunOutcome& run : runs) {
    if (run.run.arm == arm && run.result) {
      list.push_back(run.result->value(name, point));
    }
  }
  return list;
}

void judge(ClaimResult& result) {
  result.relations.clear();
  result.verdict = Verdict::confirmed;
  for (const ClaimRelation& relation : result.plan.claim.relations) {
    result.relations.push_back(judge_relation(result, relation));
    const Verdict verdict = result.relations.back().verdict;
    if (verdict == Verdict::refuted) {
      result.verdict = Verdict::refuted;
    } else if (verdict == Verdict::inconclusive && result.verdict == Verdict::confirmed) {
      result.verdict = Verdict::inconclusive;
    }
  }
}

std::string relation_text(const ClaimRelation& relation) {
  if (!relation.statement.empty()) return relation.statement;
  const bool one_arm = relation.method == relation.baseline;
  const bool ratio = relation.compare == "ratio";
  const double neutral = ratio ? 1.0 : 0.0;
  const bool allowance = relation.margin < neutral;
  const std::string of = relation.metric.empty() ? "" : relation.metric + " of ";
  std::string text = fmt::format("{}{} at {} {} ", of, relation.method, relation.at,
                                 allowance ? "is not worse than" : "beats");
  if (!one_arm) text += relation.baseline;
  if (one_arm || relation.at != relation.baseline_at) {
    text += fmt::format("{}at {}", one_arm ? "" : " ", relation.baseline_at);
  }
  if (relation.margin == neutral) return text;
  if (ratio) {
    return text + fmt::format(" by a factor of {}{}", allowance ? "" : "more than ",
                              number_text(allowance ? 1.0 / relation.margin : relation.margin));
  }
  return text + fmt::format(" by more than {}", number_text(std::abs(relation.margin)));
}

Config to_config(const ClaimResult& result, const std::string& command,
                 const std::string& version) {
  const Claim& claim = result.plan.claim;
  Config file = Config::map();
  file.set("format", 1);
  file.set("claim", claim.slug);
  file.set("title", claim.title);
  file.set("paper", claim.paper);
  file.set("statement", claim.statement);
  if (!claim.notes.empty()) file.set("notes", claim.notes);
  file.set("size", result.plan.size);
  file.set("seeds", result.plan.seeds);
  file.set("verdict", verdict_name(result.verdict));
  file.set("metric", write_options(claim.metric));
  if (!claim.axis.empty()) file.set("axis", claim.axis);
  Config points = Config::list();
  for (const ClaimPoint& point : result.plan.points) points.append(write_options(point));
  file.set("points", points);
  Config relations = Config::list();
  for (const RelationOutcome& outcome : result.relations)
    relations.append(relation_config(outcome));
  file.set("relations", relations);
  Config arms = Config::list();
  for (const ClaimArm& arm : claim.arms) arms.append(arm_config(result, arm));
  file.set("arms", arms);
  file.set("failed_runs", result.failures());
  file.set("claim_sha256", claim.sha256);
  file.set("claim_sha256_at_start", result.sha256_at_start);
  file.set("claim_changes_since_start", strings(result.changes));
  file.set("command", command);
  file.set("heed", version);
  return file;
}

}  // namespace heed::recipes
