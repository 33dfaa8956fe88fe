#include "tools/bench_pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "core/error.h"
#include "core/text.h"

namespace heed::tools {

const std::vector<std::string>& bench_patterns() {
  static const std::vector<std::string> names = {
      "dense",   "causal",       "window",           "longformer", "segments",
      "strided", "neighborhood", "window_partition", "halo",       "power"};
  return names;
}

std::vector<int64_t> BenchPattern::axes() const {
  std::vector<int64_t> lengths;
  std::stringstream text(grid);
  for (std::string part; std::getline(text, part, 'x');) {
    try {
      lengths.push_back(std::stoll(part));
    } catch (const std::exception&) {
      lengths.push_back(0);
    }
    if (lengths.back() < 1) fail_request({}, fmt::format("--grid {}: wants HxW, as 56x56", grid));
  }
  return lengths.empty() ? std::vector<int64_t>{tokens} : lengths;
}

AttentionPattern BenchPattern::make() const {
  const auto& names = bench_patterns();
  if (std::find(names.begin(), names.end(), name) == names.end())
    fail_request({},
                 fmt::format("attention: unknown pattern '{}'{}", name, did_you_mean(name, names)));
  const std::vector<int64_t> lengths = axes();
  int64_t n = 1;
  for (const int64_t length : lengths) n *= length;
  const int64_t reach = window > 0 ? window : (lengths.size() > 1 ? 7 : 256);
  if (name == "dense") return {};
  if (name == "causal") return AttentionPattern::causal();
  if (name == "window") {
    const auto near = AttentionPattern::window(reach - 1, 0);
    return sinks > 0 ? AttentionPattern::causal() & (near | AttentionPattern::prefix(sinks)) : near;
  }
  if (name == "longformer") {
    const int64_t all = std::max<int64_t>(1, sinks);
    return AttentionPattern::window(reach / 2, reach / 2) | AttentionPattern::prefix(all) |
           AttentionPattern::global_queries(all);
  }
  if (name == "segments") {
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>(i / block));
    return AttentionPattern::causal() & AttentionPattern::segments(ids);
  }
  if (name == "strided") {
    const int64_t step = std::max<int64_t>(2, stride);
    return AttentionPattern::causal() &
           AttentionPattern::where(fmt::format("every {}", step),
                                   [step](int64_t i, int64_t j) { return (i - j) % step == 0; });
  }
  if (name == "neighborhood") {
    std::vector<NeighborhoodAxis> each;
    for (const int64_t length : lengths) each.push_back({length, reach, dilation, stride});
    return AttentionPattern::neighborhood(each);
  }
  if (name == "window_partition")
    return AttentionPattern::windows(lengths, std::vector<int64_t>(lengths.size(), reach));
  if (name == "halo") {
    std::vector<HaloAxis> each;
    for (const int64_t length : lengths) each.push_back({length, block, halo});
    return AttentionPattern::halo(each, Border::crop);
  }
  return AttentionPattern::causal() &
         AttentionPattern::blocks(block, n, n, [](int64_t i, int64_t j) {
           const int64_t d = i - j;
           return d >= 0 && (d < 5 || j < 1 || (d & (d - 1)) == 0);
         });
}

}  // namespace heed::tools
