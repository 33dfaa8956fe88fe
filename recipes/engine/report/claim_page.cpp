#include "recipes/engine/report/claim_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/files.h"
#include "core/readable.h"
#include "recipes/engine/report/chart.h"
#include "recipes/engine/report/page.h"

namespace heed::recipes {
namespace {

constexpr int kColors = 8;

std::string metric_text(const ClaimResult& result) { return spaced(result.plan.claim.metric.name); }

std::string head(const ClaimResult& result) {
  const Claim& claim = result.plan.claim;
  std::string html =
      fmt::format("<h1>{}<span class=\"status{}\">{}</span></h1>\n<p class=\"lead\">{}</p>\n",
                  escaped(claim.title), result.verdict == Verdict::confirmed ? " done" : "",
                  verdict_name(result.verdict), escaped(claim.paper));
  html += fmt::format("<p>{}</p>\n", escaped(claim.statement));
  if (!claim.notes.empty()) html += fmt::format("<p class=\"lead\">{}</p>\n", escaped(claim.notes));
  if (result.plan.size == "smoke") {
    html +=
        "<p class=\"lead\">Smoke size: it shows that the experiment runs, and nothing about the "
        "paper.</p>\n";
  }
  if (!result.changes.empty()) {
    html += "<p><b>The claim was changed after its first run had started:</b></p>\n<ul>\n";
    for (const std::string& change : result.changes) {
      html += fmt::format("<li>{}</li>\n", escaped(change));
    }
    html += "</ul>\n";
  }
  return html;
}

std::string interval_text(const Estimate& estimate) {
  if (!std::isfinite(estimate.low) || !std::isfinite(estimate.high)) return "";
  return fmt::format("{} to {}", number_text(estimate.low), number_text(estimate.high));
}

std::string relations(const ClaimResult& result) {
  std::string html =
      "<h2>What must hold</h2>\n<div class=\"box\"><table><tr><th>Relation</th>"
      "<th class=\"number\">Margin</th><th class=\"number\">Improvement</th>"
      "<th class=\"number\">95% interval</th><th>Verdict</th></tr>\n";
  for (const RelationOutcome& outcome : result.relations) {
    const std::string effect =
        std::isfinite(outcome.effect.value) ? number_text(outcome.effect.value) : "";
    html += fmt::format(
        "<tr><td>{}</td><td class=\"number\">{}{}</td><td class=\"number\">{}</td>"
        "<td class=\"number\">{}</td><td class=\"{}\">{}{}</td></tr>\n",
        escaped(relation_text(outcome.relation)), outcome.relation.compare == "ratio" ? "x " : "",
        number_text(outcome.relation.margin), effect, interval_text(outcome.effect),
        outcome.verdict == Verdict::confirmed ? "best" : "", verdict_name(outcome.verdict),
        outcome.reason.empty() ? "" : ": " + escaped(outcome.reason));
  }
  return html + "</table></div>\n";
}

struct Plot {
  ChartOptions options;
  std::vector<Line> lines;
};

/// Every seed's value, faint, and the mean with its interval; the arms side by side at each point.
Plot plot_of(const ClaimResult& result) {
  const std::vector<ClaimArm>& arms = result.plan.claim.arms;
  const std::vector<ClaimPoint>& points = result.plan.points;
  std::vector<Line> lines;
  for (size_t a = 0; a < arms.size(); ++a) {
    const double shift =
        0.5 * (static_cast<double>(a) + 0.5) / static_cast<double>(arms.size()) - 0.25;
    const int color = static_cast<int>(a % kColors);
    Line mean{.label = arms[a].name, .color = color, .dots = true, .joined = points.size() > 1};
    Line seeds{.label = "", .color = color, .faint = true, .dots = true, .joined = false};
    for (size_t p = 0; p < points.size(); ++p) {
      const std::vector<double> values = result.values(arms[a].name, points[p].name);
      if (values.empty()) continue;
      const double x = static_cast<double>(p) + shift;
      for (const double value : values) seeds.points.add(x + 0.05, value);
      const Estimate estimate = mean_estimate(values);
      mean.points.add(x, estimate.value);
      mean.low.push_back(estimate.low);
      mean.high.push_back(estimate.high);
    }
    lines.push_back(std::move(seeds));
    lines.push_back(std::move(mean));
  }
  ChartOptions options{
      .title = metric_text(result),
      .unit = result.plan.claim.axis.empty() ? "" : "against " + result.plan.claim.axis};
  for (const ClaimPoint& point : points) options.x_labels.push_back(point.name);
  return {std::move(options), std::move(lines)};
}

std::string plot(const ClaimResult& result) {
  Plot plot = plot_of(result);
  return "<h2>Means, 95% intervals and every seed</h2>\n<div class=\"charts\" "
         "style=\"max-width:760px\">\n" +
         chart(plot.options, std::move(plot.lines)) + "</div>\n";
}

std::string arm_rows(const ClaimResult& result, size_t index) {
  const ClaimArm& arm = result.plan.claim.arms[index];
  std::string html = fmt::format(
      "<tr><td><i class=\"swatch c{}\"></i>{}</td><td>{}</td><td class=\"number\"></td>",
      index % kColors, escaped(arm.name), escaped(arm.role));
  for (const ClaimPoint& point : result.plan.points) {
    const Spread spread = spread_of(result.values(arm.name, point.name));
    const std::string text = spread.count == 0 ? ""
                             : spread.count > 1
                                 ? number_text(spread.mean) + " ± " + number_text(spread.deviation)
                                 : number_text(spread.mean);
    html += fmt::format("<td class=\"number\"><b>{}</b></td>", text);
  }
  html += "<td></td></tr>\n";
  for (const ClaimRunOutcome& outcome : result.runs) {
    if (outcome.run.arm != arm.name) continue;
    html += fmt::format("<tr><td></td><td></td><td class=\"number\">{}</td>", outcome.run.seed);
    for (const ClaimPoint& point : result.plan.points) {
      html += fmt::format("<td class=\"number\">{}</td>",
                          outcome.result ? number_text(outcome.result->value(
                                               result.plan.claim.metric.name, point.name))
                                         : "");
    }
    std::string what = fmt::format("failed: {}", escaped(outcome.error));
    if (outcome.result) {
      what = duration_text(outcome.result->seconds);
      if (!outcome.run.recipe.empty())
        what = fmt::format("{} parameters, {}", grouped(outcome.result->parameters), what);
    }
    html += fmt::format("<td>{}</td></tr>\n", what);
  }
  return html;
}

std::string numbers(const ClaimResult& result) {
  std::string html = fmt::format(
      "<h2>Runs</h2>\n<div class=\"box\"><table><tr><th>Arm</th><th>Role</th>"
      "<th class=\"number\">Seed</th>");
  for (const ClaimPoint& point : result.plan.points) {
    html += fmt::format("<th class=\"number\">{} at {}</th>", escaped(metric_text(result)),
                        escaped(point.name));
  }
  html += "<th></th></tr>\n";
  for (size_t a = 0; a < result.plan.claim.arms.size(); ++a) html += arm_rows(result, a);
  return html + "</table></div>\n";
}

}  // namespace

std::string claim_plot(const ClaimResult& result) {
  Plot plot = plot_of(result);
  return chart_file(plot.options, std::move(plot.lines));
}

std::string claim_page(const ClaimResult& result, const std::string& command,
                       const std::string& version) {
  std::string page = head(result) + relations(result) + plot(result) + numbers(result);
  page += fmt::format(
      "<h2>The claim</h2>\n<div class=\"box\"><details><summary>claim.yaml, sha256 {}</summary>"
      "<pre>{}</pre></details></div>\n",
      result.plan.claim.sha256, escaped(read_file(result.plan.claim.file)));
  page += fmt::format("<footer>{} &middot; heed {}</footer>\n", escaped(command), escaped(version));
  return html_page(result.plan.claim.title, page);
}

}  // namespace heed::recipes
