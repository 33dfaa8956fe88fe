#include "recipes/engine/report.h"

#include <fmt/format.h>

#include "recipes/engine/report/chart.h"
#include "recipes/engine/report/page.h"
#include "recipes/engine/report/style.h"

namespace heed::recipes {

std::string report_page(const std::vector<std::string>& run_folders) {
  if (run_folders.empty()) fail_request("report: no run was given");
  std::vector<RunData> runs;
  for (const std::string& folder : run_folders) runs.push_back(read_run(folder));
  label_runs(runs);

  const std::string title =
      runs.size() == 1 ? runs.front().label : fmt::format("{} runs", runs.size());
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n",
      escaped(title), kReportStyle);
  page += header_part(runs);
  page += runs.size() == 1 ? cards_part(runs.front()) : table_part(runs);
  if (runs.size() == 1) page += baselines_part(runs.front());
  page += charts_part(runs);
  page += samples_part(runs);
  page += environment_part(runs);
  page += recipes_part(runs);
  page += "<footer>Made by heed from metrics.jsonl and recipe.yaml.</footer>\n</main>\n";
  page += fmt::format("<script>{}</script>\n</body>\n</html>\n", kReportScript);
  return page;
}

}  // namespace heed::recipes
