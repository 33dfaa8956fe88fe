#include "recipes/engine/report.h"

#include <fmt/format.h>

#include "recipes/engine/report/chart.h"
#include "recipes/engine/report/comparison_page.h"
#include "recipes/engine/report/page.h"

namespace heed::recipes {

std::string report_page(const std::vector<std::string>& run_folders) {
  if (run_folders.empty()) fail_request("report: no run was given");
  if (run_folders.size() == 1 && has_comparison(run_folders[0]))
    return comparison_page_of(run_folders[0]);
  std::vector<RunData> runs;
  for (const std::string& folder : run_folders) runs.push_back(read_run(folder));
  label_runs(runs);

  const std::string title =
      runs.size() == 1 ? runs.front().label : fmt::format("{} runs", runs.size());
  std::string page;
  page += header_part(runs);
  page += runs.size() == 1 ? cards_part(runs.front()) : table_part(runs);
  if (runs.size() == 1) page += baselines_part(runs.front());
  page += charts_part(runs);
  page += samples_part(runs);
  page += environment_part(runs);
  page += recipes_part(runs);
  page += "<footer>Made by heed from metrics.jsonl and recipe.yaml.</footer>\n";
  return html_page(title, page);
}

}  // namespace heed::recipes
