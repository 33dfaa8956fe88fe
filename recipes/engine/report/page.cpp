#include "recipes/engine/report/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "core/base64.h"
#include "core/readable.h"
#include "recipes/engine/report/chart.h"
#include "recipes/engine/report/style.h"
#include "recipes/engine/report/summary.h"

namespace heed::recipes {
namespace {

constexpr int kColors = 8;
int color_of(size_t run) { return static_cast<int>(run % kColors); }

std::string status_of(const RunData& run) {
  if (run.finished) {
    return fmt::format("<span class=\"status done\">finished, {} steps</span>",
                       grouped(run.last_step));
  }
  return fmt::format("<span class=\"status\">at step {} of {}</span>", grouped(run.last_step),
                     grouped(run.steps));
}

// A picture within the page: a data URL, in base64.
std::string picture(const std::string& png) {
  return fmt::format("<img alt=\"samples\" src=\"data:image/png;base64,{}\">", to_base64(png));
}

}  // namespace

std::string html_page(const std::string& title, const std::string& main) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n{}</main>\n"
      "<script>{}</script>\n</body>\n</html>\n",
      escaped(title), kReportStyle, main, kReportScript);
}

std::string header_part(const std::vector<RunData>& runs) {
  if (runs.size() == 1) {
    const RunData& run = runs.front();
    std::string html = fmt::format("<h1>{}{}</h1>\n", escaped(run.label), status_of(run));
    if (!run.description.empty()) {
      html += fmt::format("<p class=\"lead\">{}</p>\n", escaped(run.description));
    }
    const Config* data = run.start.find("data");
    if (data != nullptr && data->is_string()) {
      html += fmt::format("<p class=\"lead\">{}</p>\n", escaped(data->as_string()));
    }
    return html;
  }
  return fmt::format("<h1>{} runs</h1>\n", runs.size());
}

std::string cards_part(const RunData& run) {
  std::string html = "<dl class=\"cards\">\n";
  for (const Fact& fact : facts_of(run)) {
    html += fmt::format("<div class=\"card\"><dt>{}</dt><dd>{}</dd><p>{}</p></div>\n",
                        escaped(fact.name), escaped(fact.value), escaped(fact.remark));
  }
  return html + "</dl>\n";
}

std::string table_part(const std::vector<RunData>& runs) {
  std::vector<std::string> names;
  std::vector<std::map<std::string, Fact>> rows;
  std::map<std::string, std::pair<double, double>> range;  // of what has a better end
  for (const RunData& run : runs) {
    rows.emplace_back();
    for (const Fact& fact : facts_of(run)) {
      if (std::find(names.begin(), names.end(), fact.name) == names.end()) {
        names.push_back(fact.name);
      }
      const double value = fact.better * fact.number;
      auto& [lowest, highest] = range.emplace(fact.name, std::pair(value, value)).first->second;
      lowest = std::min(lowest, value);
      highest = std::max(highest, value);
      rows.back().emplace(fact.name, fact);
    }
  }
  std::string html =
      "<div class=\"box\" style=\"margin-top:22px\"><table><tr><th>Run</th><th>State</th>";
  for (const std::string& name : names) {
    html += fmt::format("<th class=\"number\">{}</th>", escaped(name));
  }
  html += "</tr>\n";
  for (size_t r = 0; r < runs.size(); ++r) {
    html += fmt::format("<tr><td><i class=\"swatch c{}\"></i>{}</td><td>{}</td>", color_of(r),
                        escaped(runs[r].label),
                        runs[r].finished ? "finished"
                                         : fmt::format("step {} of {}", grouped(runs[r].last_step),
                                                       grouped(runs[r].steps)));
    for (const std::string& name : names) {
      const auto fact = rows[r].find(name);
      if (fact == rows[r].end()) {
        html += "<td></td>";
        continue;
      }
      const Fact& f = fact->second;
      const auto& [lowest, highest] = range[name];
      const bool best = lowest < highest && f.better * f.number == highest;
      html += fmt::format("<td class=\"number{}\">{}</td>", best ? " best" : "", escaped(f.value));
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

std::string baselines_part(const RunData& run) {
  const int best = run.best_evaluation();
  if (best < 0) return "";
  const std::string metric =
      run.metric() == "loss" && run.eval.contains("bits_per_byte") ? "bits_per_byte" : run.metric();
  std::vector<std::pair<std::string, double>> bars;
  for (const auto& [name, value] : run.baselines) {
    if (name.ends_with("." + metric)) {
      bars.emplace_back(name.substr(0, name.size() - metric.size() - 1), value);
    }
  }
  const Series& points = run.eval.at(metric);
  if (bars.empty() || static_cast<size_t>(best) >= points.y.size()) return "";
  bars.emplace_back("this model", points.y[static_cast<size_t>(best)]);
  double longest = 0.0;
  for (const auto& bar : bars) longest = std::max(longest, std::abs(bar.second));
  if (longest == 0.0) longest = 1.0;  // nothing to draw
  std::string html = fmt::format(
      "<h2>Held-out {}, beside predictors without a network</h2>\n"
      "<div class=\"box\"><table class=\"bars\">\n",
      spaced(metric));
  for (const auto& [name, value] : bars) {
    html += fmt::format(
        "<tr><td>{}</td><td><div class=\"bar c{}\" style=\"width:{:.1f}%\"></div></td>"
        "<td class=\"number\">{:.3f}</td></tr>\n",
        escaped(name), name == "this model" ? 0 : 7, 100.0 * std::abs(value) / longest, value);
  }
  return html + "</table></div>\n";
}

std::string samples_part(const std::vector<RunData>& runs) {
  constexpr size_t kOpen = 2;  // of the latest samples; the others are folded
  std::string html;
  for (const RunData& run : runs) {
    std::string folded;
    for (size_t i = 0; i < run.samples.size(); ++i) {
      const RunSample& sample = run.samples[run.samples.size() - 1 - i];
      const std::string prompt = fmt::format("<b>{}</b>", escaped(sample.prompt));
      std::string content =
          fmt::format("<pre>{}{}</pre>", sample.answers ? "" : prompt, escaped(sample.text));
      if (!sample.image.empty()) content = picture(sample.image);
      if (sample.words) content = heat_map(*sample.words);
      const std::string box =
          fmt::format("<div class=\"box sample\"><header>{}step {}{}</header>{}</div>\n",
                      runs.size() > 1 ? escaped(run.label) + ", " : "", grouped(sample.step),
                      sample.answers ? ", for " + prompt : "", content);
      (i < kOpen ? html : folded) += box;
    }
    if (!folded.empty()) {
      html += fmt::format("<details><summary>{} earlier samples</summary>\n{}</details>\n",
                          run.samples.size() - kOpen, folded);
    }
  }
  return html.empty() ? "" : "<h2>Samples</h2>\n" + html;
}

std::string environment_part(const std::vector<RunData>& runs) {
  constexpr std::pair<const char*, const char*> kColumns[] = {{"version", "heed"},
                                                              {"device", "Device"},
                                                              {"processor", "Processor"},
                                                              {"threads", "Threads"},
                                                              {"precision", "Precision"}};
  std::string html = "<h2>Environment</h2>\n<div class=\"box\"><table><tr>";
  if (runs.size() > 1) html += "<th>Run</th>";
  for (const auto& [key, name] : kColumns) html += fmt::format("<th>{}</th>", name);
  html += "</tr>\n";
  for (const RunData& run : runs) {
    html += "<tr>";
    if (runs.size() > 1) html += fmt::format("<td>{}</td>", escaped(run.label));
    for (const auto& [key, name] : kColumns) {
      const Config* value = run.start.find(key);
      std::string text;
      if (value != nullptr) text = value->is_string() ? value->as_string() : value->to_json();
      html += fmt::format("<td>{}</td>", escaped(text));
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

std::string recipes_part(const std::vector<RunData>& runs) {
  std::string html = "<h2>Resolved recipe</h2>\n";
  for (const RunData& run : runs) {
    html += fmt::format(
        "<div class=\"box\"><details{}><summary>{}</summary><pre>{}</pre></details></div>\n",
        runs.size() == 1 ? " open" : "", escaped(run.folder + "/recipe.yaml"),
        escaped(run.recipe_yaml));
  }
  return html;
}

}  // namespace heed::recipes
