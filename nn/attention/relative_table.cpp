#include "nn/attention/relative_table.h"

#include <algorithm>

#include "autograd/ops/view.h"

namespace heed::nn {

int64_t relative_table_entries(const std::vector<int64_t>& windows) {
  int64_t entries = 1;
  for (const int64_t window : windows) entries *= 2 * window - 1;
  return entries;
}

Init relative_table_init() { return init::truncated_normal(0.02); }

void add_relative_table(AttentionScore& score, const Tensor& table, const PatternRequest& request,
                        const std::vector<int64_t>& windows,
                        const std::vector<int64_t>& dilations) {
  std::vector<int64_t> grid;
  for (const int64_t length : request.grid) grid.push_back(length);
  HEED_CHECK(grid.size() == windows.size(),
             "attention: a relative table of {} axes for tokens on {} axes: set `axes`",
             windows.size(), grid.size());
  // Tokens before the first query (a cache's) are keys alone.
  if (request.offset > 0) grid[0] = request.keys;
  std::vector<int64_t> steps;
  for (size_t a = 0; a < grid.size(); ++a) steps.push_back(std::min(dilations[a], grid[a]));
  score.table = table;
  score.relative = relative_grid(grid, windows, steps);
  if (request.offset > 0) {
    RelativeIndex behind = *score.relative;
    behind.query.erase(behind.query.begin(),
                       behind.query.begin() + static_cast<std::ptrdiff_t>(request.offset));
    score.relative = std::make_shared<const RelativeIndex>(std::move(behind));
  }
  if (request.globals == 0) return;
  score.table =
      concat({table, Tensor::zeros({table.size(0), 1}, table.dtype(), table.device())}, 1);
  score.relative = behind_globals(*score.relative, request.globals);
}

}  // namespace heed::nn
