#include "recipes/engine/report/comparison_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/files.h"
#include "core/readable.h"
#include "recipes/engine/comparison_result.h"
#include "recipes/engine/report/chart.h"
#include "recipes/engine/report/page.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
constexpr char kResult[] = "compare.result.json";
constexpr int kColors = 8;

const std::string& text_of(const Config& entry, const char* key) {
  return entry.at(key).as_string();
}

std::string column_title(const Config& column) {
  std::string title = text_of(column, "title");
  if (title.empty()) title = spaced(text_of(column, "metric"));
  const std::string& unit = text_of(column, "unit");
  return unit.empty() || unit == "bytes" ? title : title + ", " + unit;
}

/// A column with the test that it is of, and its cells.
struct ShownColumn {
  const Config* test;
  const Config* column;
  std::vector<ComparisonCell> cells;
};

std::vector<ShownColumn> columns_of(const Config& document) {
  std::vector<ShownColumn> shown;
  for (const Config& test : document.at("tests").as_list()) {
    for (const Config& column : test.at("columns").as_list())
      shown.push_back({&test, &column, column_cells(document, text_of(test, "name"), column)});
  }
  return shown;
}

std::string table(const Config& document, const std::vector<ShownColumn>& columns) {
  std::string html =
      "<div class=\"box\" style=\"margin-top:22px\"><table class=\"compare\"><tr><th></th>";
  for (const Config& test : document.at("tests").as_list()) {
    html += fmt::format("<th colspan=\"{}\" class=\"test\" title=\"{}\">{}</th>",
                        test.at("columns").as_list().size(), escaped(text_of(test, "description")),
                        escaped(text_of(test, "name")));
  }
  html += "</tr>\n<tr><th></th>";
  for (const ShownColumn& c : columns)
    html += fmt::format("<th class=\"number\">{}</th>", escaped(column_title(*c.column)));
  html += "</tr>\n";
  const auto& arms = document.at("arms").as_list();
  for (size_t a = 0; a < arms.size(); ++a) {
    html += fmt::format("<tr><td title=\"{}\"><i class=\"swatch c{}\"></i>{}</td>",
                        escaped(text_of(arms[a], "description")), a % kColors,
                        escaped(text_of(arms[a], "name")));
    for (const ShownColumn& c : columns) {
      const ComparisonCell& cell = c.cells[a];
      const std::string text = cell_text(cell, *c.column);
      html += text.empty() ? "<td></td>"
                           : fmt::format(
                                 "<td class=\"number{}\">{}<div class=\"meter\"><i "
                                 "style=\"width:{:.1f}%\"></i></div></td>",
                                 cell.best ? " best" : "", text, 100.0 * cell.part);
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

/// Whether the document has a number of the arm in the test. A run's folder may be there without:
/// another comparison's, or one that failed.
bool measured(const Config& arm, const Config& test) {
  const Config* results = arm.at("results").find(text_of(test, "name"));
  if (results == nullptr) return false;
  const auto& metrics = results->as_map();
  return std::any_of(metrics.begin(), metrics.end(),
                     [](const auto& metric) { return metric.second.has("mean"); });
}

/// The curves of one test, arm by arm.
std::string curves(const Config& document, const Config& test, const std::string& folder) {
  std::vector<RunData> runs;
  for (const Config& arm : document.at("arms").as_list()) {
    const fs::path run = fs::path(folder) / text_of(test, "name") / text_of(arm, "name") / "seed-1";
    if (!measured(arm, test) || !fs::exists(run / "metrics.jsonl")) continue;
    runs.push_back(read_run(run.string()));
    runs.back().label = text_of(arm, "name");
  }
  if (runs.empty()) return "";
  std::string html = fmt::format("<h2>{}</h2>\n", escaped(text_of(test, "name")));
  if (!text_of(test, "description").empty())
    html += fmt::format("<p class=\"lead\">{}</p>\n", escaped(text_of(test, "description")));
  return html + charts_part(runs);
}

std::string settings(const Config& document) {
  std::string html =
      "<h2>The arms</h2>\n<div class=\"box\"><table><tr><th>Arm</th><th>What it is</th>"
      "<th>What it changes</th><th class=\"number\">Parameters</th></tr>\n";
  for (const Config& arm : document.at("arms").as_list()) {
    std::string changes;
    for (const Config& change : arm.at("overrides").as_list())
      changes += (changes.empty() ? "" : " ") + change.as_string();
    std::string parameters;
    for (const auto& [test, count] : arm.at("parameters").as_map()) {
      const std::string text = grouped(count.as_integer());
      if (parameters.find(text) == std::string::npos)
        parameters += (parameters.empty() ? "" : ", ") + text;
    }
    html += fmt::format(
        "<tr><td>{}</td><td>{}</td><td><code>{}</code></td><td class=\"number\">{}</td></tr>\n",
        escaped(text_of(arm, "name")), escaped(text_of(arm, "description")), escaped(changes),
        parameters);
  }
  return html + "</table></div>\n";
}

std::string failures(const Config& document) {
  const auto& failed = document.at("failed").as_list();
  if (failed.empty()) return "";
  std::string html = "<h2>What failed</h2>\n<ul>\n";
  for (const Config& run : failed) {
    html += fmt::format("<li>{} of {}, seed {}: {}</li>\n", escaped(text_of(run, "arm")),
                        escaped(text_of(run, "test")), run.at("seed").as_integer(),
                        escaped(text_of(run, "error")));
  }
  return html + "</ul>\n";
}

}  // namespace

std::string comparison_page(const Config& document, const std::string& folder) {
  std::string page = fmt::format("<h1>{}</h1>\n", escaped(text_of(document, "title")));
  if (!text_of(document, "notes").empty())
    page += fmt::format("<p class=\"lead\">{}</p>\n", escaped(text_of(document, "notes")));
  const int64_t seeds = document.at("seeds").as_integer();
  page += fmt::format("<p class=\"lead\">{}. The bar is the share of the column's best.</p>\n",
                      seeds == 1 ? "One run of each arm, so small differences mean nothing"
                                 : fmt::format("Means and standard deviations of {} seeds", seeds));
  page += table(document, columns_of(document)) + failures(document);
  for (const Config& test : document.at("tests").as_list()) page += curves(document, test, folder);
  page += settings(document);
  page += fmt::format("<footer>{} &middot; heed {}</footer>\n",
                      escaped(text_of(document, "command")), escaped(text_of(document, "heed")));
  return html_page(text_of(document, "title"), page);
}

std::string comparison_markdown(const Config& document) {
  const std::vector<ShownColumn> columns = columns_of(document);
  std::string text = "| |", rule = "|---|";
  for (const ShownColumn& c : columns) {
    text += fmt::format(" {}: {} |", text_of(*c.test, "name"), column_title(*c.column));
    rule += "---|";
  }
  text += "\n" + rule + "\n";
  const auto& arms = document.at("arms").as_list();
  for (size_t a = 0; a < arms.size(); ++a) {
    text += fmt::format("| {} |", text_of(arms[a], "name"));
    for (const ShownColumn& c : columns) {
      const std::string cell = cell_text(c.cells[a], *c.column);
      text += c.cells[a].best ? fmt::format(" **{}** |", cell) : fmt::format(" {} |", cell);
    }
    text += "\n";
  }
  return text;
}

bool has_comparison(const std::string& folder) { return fs::exists(fs::path(folder) / kResult); }

std::string comparison_page_of(const std::string& folder) {
  return comparison_page(read_json_file((fs::path(folder) / kResult).string()), folder);
}

}  // namespace heed::recipes
