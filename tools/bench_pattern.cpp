#include "tools/bench_pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <sstream>

#include "core/error.h"
#include "core/random.h"
#include "kernels/attention/patterns/named.h"
#include "kernels/attention/patterns/power.h"

namespace heed::tools {
namespace {

constexpr int64_t kMostTokens = int64_t{1} << 24;

/// A request with its sizes worked out.
struct Wanted {
  const BenchPattern& p;
  std::vector<int64_t> lengths;  // of the axes
  int64_t n;                     // tokens
  int64_t reach;                 // window
  RandomStream draws{{7, 1, 0}};

  template <class Axis, class Fn>
  std::vector<Axis> each_axis(const Fn& fn) const {
    std::vector<Axis> axes;
    for (const int64_t length : lengths) axes.push_back(fn(length));
    return axes;
  }
  int64_t draw(int64_t index, int64_t below) const {
    return static_cast<int64_t>(
        draws.below(static_cast<uint64_t>(index), static_cast<uint64_t>(below)));
  }
};

AttentionPattern window(const Wanted& w) {
  const auto near = AttentionPattern::window(w.reach - 1, 0);
  return w.p.sinks > 0 ? AttentionPattern::causal() & (near | AttentionPattern::prefix(w.p.sinks))
                       : near;
}

AttentionPattern longformer(const Wanted& w) {
  const int64_t all = std::max<int64_t>(1, w.p.sinks);
  return AttentionPattern::window(w.reach / 2, w.reach / 2) | AttentionPattern::prefix(all) |
         AttentionPattern::global_queries(all);
}

AttentionPattern segments(const Wanted& w) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < w.n; ++i) ids.push_back(static_cast<int32_t>(i / w.p.block));
  return AttentionPattern::causal() & AttentionPattern::segments(ids);
}

AttentionPattern strided(const Wanted& w) {
  const int64_t step = std::max<int64_t>(2, w.p.stride);
  return AttentionPattern::causal() &
         AttentionPattern::where(fmt::format("every {}", step),
                                 [step](int64_t i, int64_t j) { return (i - j) % step == 0; });
}

/// From all tokens for the first sequence down to half of them for the last.
AttentionPattern lengths(const Wanted& w) {
  std::vector<int64_t> each;
  for (int64_t b = 0; b < w.p.batch; ++b)
    each.push_back(w.n - w.n / 2 * b / std::max<int64_t>(1, w.p.batch - 1));
  return AttentionPattern::lengths(each);
}

/// Key j lives for some queries from j on, the window on average.
AttentionPattern lifetimes(const Wanted& w) {
  std::vector<int32_t> first, last;
  for (int64_t j = 0; j < w.n; ++j) {
    first.push_back(static_cast<int32_t>(j));
    last.push_back(static_cast<int32_t>(j + 1 + w.draw(j, 2 * w.reach - 1)));
  }
  return AttentionPattern::lifetimes(first, last, 1, 1, w.n);
}

AttentionPattern indices(const Wanted& w) {
  std::vector<int32_t> ids;
  for (int64_t at = 0; at < w.n * w.p.kept; ++at)
    ids.push_back(static_cast<int32_t>(w.draw(at, w.n)));
  return AttentionPattern::indices(ids, 1, 1, w.n, w.p.kept);
}

std::vector<NeighborhoodAxis> neighborhood_axes_of(const Wanted& w) {
  return w.each_axis<NeighborhoodAxis>([&](int64_t length) {
    return NeighborhoodAxis{length, w.reach, w.p.dilation, w.p.stride, w.p.causal};
  });
}

AttentionPattern neighborhood(const Wanted& w) {
  return AttentionPattern::neighborhood(neighborhood_axes_of(w));
}

AttentionPattern window_partition(const Wanted& w) {
  if (w.p.shift >= w.reach)
    fail_request({}, fmt::format("--shift {} of windows of {}", w.p.shift, w.reach));
  const size_t axes = w.lengths.size();
  return AttentionPattern::windows(w.lengths, std::vector<int64_t>(axes, w.reach),
                                   std::vector<int64_t>(axes, w.p.shift));
}

AttentionPattern halo(const Wanted& w) {
  const auto axes = w.each_axis<HaloAxis>([&](int64_t length) {
    return HaloAxis{length, w.p.block, w.p.halo};
  });
  return AttentionPattern::halo(axes, Border::crop);
}

AttentionPattern taps(const Wanted& w) {
  return centred_taps(w.each_axis<TapAxis>([&](int64_t length) {
    return TapAxis{length, w.reach | 1, w.p.dilation};
  }));
}

struct Named {
  const char* name;
  bool on_maps, has_window;
  AttentionPattern (*make)(const Wanted&);
};

constexpr Named kPatterns[] = {
    {"dense", true, false, [](const Wanted&) { return AttentionPattern(); }},
    {"causal", false, false, [](const Wanted&) { return AttentionPattern::causal(); }},
    {"window", false, true, window},
    {"longformer", false, true, longformer},
    {"segments", false, false, segments},
    {"lengths", false, false, lengths},
    {"strided", false, false, strided},
    {"lifetimes", false, true, lifetimes},
    {"indices", false, false, indices},
    {"random_sources", false, false,
     [](const Wanted& w) {
       return random_sources(w.n, std::min(w.p.kept, w.n), {7, 1, 0});
     }},
    {"block_window", false, false,
     [](const Wanted& w) {
       return AttentionPattern::causal() & block_window(w.n, w.p.block, 1, 0);
     }},
    {"neighborhood", true, true, neighborhood},
    {"taps", true, true, taps},
    {"window_partition", true, true, window_partition},
    {"halo", true, false, halo},
    {"power", false, false, [](const Wanted& w) {
       return AttentionPattern::causal() & power_blocks(w.n, w.n, 0, {.block = w.p.block});
     }}};

Wanted wanted_of(const BenchPattern& p) {
  Wanted wanted{p, p.axes(), 1, p.window};
  for (const int64_t length : wanted.lengths) wanted.n *= length;
  if (wanted.reach == 0) wanted.reach = wanted.lengths.size() > 1 ? 7 : 256;
  return wanted;
}

const Named& found(const std::string& name) {
  for (const Named& pattern : kPatterns)
    if (name == pattern.name) return pattern;
  fail_request({}, fmt::format("attention: unknown pattern '{}'{}", name,
                               did_you_mean(name, bench_patterns())));
}

}  // namespace

const std::vector<std::string>& bench_patterns() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Named& pattern : kPatterns) all.emplace_back(pattern.name);
    return all;
  }();
  return names;
}

std::vector<int64_t> BenchPattern::axes() const {
  return grid.empty() ? std::vector<int64_t>{tokens} : grid_lengths(grid);
}

std::vector<int64_t> grid_lengths(const std::string& grid) {
  std::vector<int64_t> lengths;
  std::stringstream text(grid + "x");
  int64_t count = 1;
  for (std::string part; std::getline(text, part, 'x');) {
    int64_t length = 0;
    const char* end = part.data() + part.size();
    const auto [stop, error] = std::from_chars(part.data(), end, length);
    if (error != std::errc() || stop != end || length < 1)
      fail_request({}, fmt::format("--grid {}: wants HxW, as 56x56", grid));
    if (length > kMostTokens / count)
      fail_request({}, fmt::format("--grid {}: more than {} tokens", grid, kMostTokens));
    count *= length;
    lengths.push_back(length);
  }
  return lengths;
}

AttentionPattern BenchPattern::make() const {
  const Named& pattern = found(name);
  if (!grid.empty() && !pattern.on_maps)
    fail_request({}, fmt::format("--grid: pattern '{}' is one of sequences: take --tokens", name));
  return pattern.make(wanted_of(*this));
}

std::vector<NeighborhoodAxis> BenchPattern::neighborhood_axes() const {
  if (name != "neighborhood" || stride != 1) return {};
  return neighborhood_axes_of(wanted_of(*this));
}

bool BenchPattern::has_window() const { return found(name).has_window; }

}  // namespace heed::tools
