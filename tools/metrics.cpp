#include "tools/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "core/readable.h"
#include "tools/text.h"

namespace heed::tools {

std::string metrics_text(const recipes::Metrics& metrics) {
  std::string text;
  for (const auto& [name, value] : metrics) {
    text += fmt::format("{}{} {}", text.empty() ? "" : "  ", name, number_text(value));
  }
  return text;
}

std::string comparison_table(const recipes::Metrics& metrics, const recipes::Metrics& baselines) {
  std::vector<std::string> columns, rows;
  const auto add_once = [](std::vector<std::string>& names, const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  recipes::Metrics all;
  for (const auto& [name, value] : metrics) {
    add_once(columns, name);
    all.emplace_back("this model." + name, value);
  }
  if (!metrics.empty()) rows.push_back("this model");
  for (const auto& [name, value] : baselines) {
    const size_t dot = name.find('.');
    if (dot == std::string::npos) continue;
    add_once(rows, name.substr(0, dot));
    add_once(columns, name.substr(dot + 1));
    all.emplace_back(name, value);
  }
  std::vector<std::string> header = {""};
  std::vector<int> right;
  for (size_t c = 0; c < columns.size(); ++c) {
    header.push_back(columns[c]);
    right.push_back(static_cast<int>(c) + 1);
  }
  Table table(header, right);
  for (const std::string& row : rows) {
    std::vector<std::string> cells = {row};
    for (const std::string& column : columns) {
      const double* value = recipes::find_metric(all, fmt::format("{}.{}", row, column));
      cells.push_back(value == nullptr ? "" : number_text(*value));
    }
    table.row(cells);
  }
  return table.to_string();
}

Config metrics_config(const recipes::Metrics& metrics) {
  Config map = Config::map();
  for (const auto& [name, value] : metrics) map.set(name, value);
  return map;
}

void print_warning(const std::string& message) { fmt::print(stderr, "warning: {}\n", message); }

}  // namespace heed::tools
