#include "kernels/attention/scores.h"

#include <algorithm>

#include "core/error.h"
#include "core/views.h"
#include "kernels/attention/plan.h"
#include "kernels/elementwise/accumulate.h"

namespace heed::kernels::attn {
namespace {

/// `t` as rank 4 in `dtype`, contiguous; every extent of `wants` or 1.
Tensor prepared(const Tensor& t, const char* name, const Shape& as, const Shape& wants,
                DType dtype) {
  if (!t.defined()) return {};
  bool fits = true;
  for (int d = 0; d < 4; ++d) fits = fits && (as[d] == wants[d] || as[d] == 1);
  HEED_CHECK(fits && is_floating(t.dtype()), "attention: {} {} does not broadcast to {}", name, t,
             wants);
  return views::reshape(contiguous_as(t, dtype), as);
}

Shape rank4(const Tensor& t, const char* name, int rank, std::initializer_list<int> dims) {
  if (!t.defined()) return {1, 1, 1, 1};
  HEED_CHECK(t.rank() == rank, "attention: {} wants rank {}, got {}", name, rank, t);
  std::vector<int64_t> shape;
  for (const int d : dims) shape.push_back(d < 0 ? 1 : t.size(d));
  return {shape[0], shape[1], shape[2], shape[3]};
}

}  // namespace

void check_index(const RelativeIndex& index, int64_t entries, const Extents& e) {
  HEED_CHECK(static_cast<int64_t>(index.query.size()) == e.queries &&
                 static_cast<int64_t>(index.key.size()) == e.keys,
             "attention: a relative index of {} queries and {} keys for {} and {}",
             index.query.size(), index.key.size(), e.queries, e.keys);
  HEED_CHECK(entries > 0, "attention: an empty relative table");
}

ScoreTensors::ScoreTensors(const AttentionScore& s, const Extents& e, DType dtype)
    : query_temperature(prepared(s.query_temperature, "query_temperature",
                                 rank4(s.query_temperature, "query_temperature", 3, {0, 1, 2, -1}),
                                 {e.batch, e.heads, e.queries, 1}, dtype)),
      key_temperature(prepared(s.key_temperature, "key_temperature",
                               rank4(s.key_temperature, "key_temperature", 3, {0, 1, -1, 2}),
                               {e.batch, e.heads, 1, e.keys}, dtype)),
      bias(prepared(s.bias, "bias", rank4(s.bias, "bias", 4, {0, 1, 2, 3}),
                    {e.batch, e.heads, e.queries, e.keys}, dtype)),
      table(prepared(s.table, "table", rank4(s.table, "table", 2, {-1, 0, -1, 1}),
                     {1, e.heads, 1, s.table.defined() ? s.table.size(1) : 1}, dtype)),
      sink(prepared(s.sink, "sink",
                    !s.sink.defined() || s.sink.rank() == 1
                        ? rank4(s.sink, "sink", 1, {-1, 0, -1, -1})
                        : rank4(s.sink, "sink", 3, {0, 1, 2, -1}),
                    {e.batch, e.heads, e.queries, 1}, dtype)) {
  HEED_CHECK(s.alibi.empty() || static_cast<int64_t>(s.alibi.size()) == e.heads,
             "attention: {} ALiBi slopes for {} heads", s.alibi.size(), e.heads);
  HEED_CHECK(s.softcap >= 0.0, "attention: softcap {} is negative", s.softcap);
  HEED_CHECK(s.table.defined() == (s.relative != nullptr),
             "attention: a relative table and its index go together");
  if (s.relative) check_index(*s.relative, s.table.size(1), e);
  for (size_t a = 0; a < kRelativeAxes; ++a) {
    const auto& [logits, relative] = s.relative_logits[a];
    HEED_CHECK(logits.defined() == (relative != nullptr),
               "attention: relative logits and their index go together");
    if (!relative) continue;
    HEED_CHECK(logits.rank() == 4, "attention: relative_logits wants rank 4, got {}", logits);
    const int64_t entries = logits.size(3);
    check_index(*relative, entries, e);
    HEED_CHECK(e.queries == logits.size(2) && e.queries * entries < INT32_MAX,
               "attention: relative_logits {} for {} queries", logits, e.queries);
    relative_logits[a] = prepared(logits, "relative_logits", logits.shape(),
                                  {e.batch, e.heads, e.queries, entries}, dtype);
  }
}

}  // namespace heed::kernels::attn

namespace heed {
namespace {

std::vector<int32_t> ascending(int64_t n, int64_t first) {
  std::vector<int32_t> values;
  for (int64_t i = 0; i < n; ++i) values.push_back(static_cast<int32_t>(first + i));
  return values;
}

/// Positions so that key - query is 0 for the farthest past pair, j = 0 and i = queries - 1.
RelativeIndex by_distance(int64_t queries, int64_t keys) {
  return {ascending(queries, 1 - queries), ascending(keys, 0), {}};
}

}  // namespace

std::shared_ptr<const RelativeIndex> relative_positions(int64_t queries, int64_t keys,
                                                        int64_t reach, int64_t query_offset) {
  RelativeIndex index = by_distance(queries, keys);
  const int64_t least = -(queries - 1 + query_offset);
  for (int64_t d = least; d <= keys - 1 - query_offset; ++d)
    index.map.push_back(static_cast<int32_t>(std::clamp(d, -reach, reach) + reach));
  return std::make_shared<RelativeIndex>(std::move(index));
}

std::shared_ptr<const RelativeIndex> relative_grid(const std::vector<int64_t>& grid,
                                                   const std::vector<int64_t>& window,
                                                   const std::vector<int64_t>& dilation) {
  HEED_CHECK(grid.size() == window.size() && (dilation.empty() || dilation.size() == grid.size()),
             "attention: {} axes, {} windows, {} dilations", grid.size(), window.size(),
             dilation.size());
  int64_t count = 1;
  for (const int64_t length : grid) count *= length;
  RelativeIndex index;
  for (int64_t t = 0; t < count; ++t) {
    int64_t rest = t, place = 0, centre = 0, step = 1;
    for (size_t a = grid.size(); a-- > 0;) {
      const int64_t d = dilation.empty() ? 1 : dilation[a];
      place += step * (rest % grid[a] / d);
      centre += step * (window[a] - 1);
      step *= 2 * window[a] - 1;
      rest /= grid[a];
    }
    index.key.push_back(static_cast<int32_t>(place));
    index.query.push_back(static_cast<int32_t>(place - centre));
  }
  return std::make_shared<RelativeIndex>(std::move(index));
}

std::shared_ptr<const RelativeIndex> behind_globals(const RelativeIndex& rest, int64_t count) {
  // So far from all other places that every index is beyond the last entry; beyond a map, one more
  // element says so.
  constexpr int32_t kFar = 1 << 29;
  RelativeIndex index = rest;
  if (!index.map.empty()) index.map.push_back(INT32_MAX);
  index.key.insert(index.key.begin(), static_cast<size_t>(count), kFar);
  index.query.insert(index.query.begin(), static_cast<size_t>(count), -kFar);
  return std::make_shared<RelativeIndex>(std::move(index));
}

std::shared_ptr<const RelativeIndex> relative_axis(const std::vector<int64_t>& grid, int axis,
                                                   int64_t window) {
  HEED_CHECK(axis >= 0 && static_cast<size_t>(axis) < grid.size() && window > 0,
             "attention: relative offsets along axis {} of {}, window {}", axis, grid.size(),
             window);
  int64_t count = 1, step = 1;
  for (size_t a = 0; a < grid.size(); ++a) {
    count *= grid[a];
    if (a > static_cast<size_t>(axis)) step *= grid[a];
  }
  RelativeIndex index;
  for (int64_t t = 0; t < count; ++t) {
    const int64_t place = t / step % grid[static_cast<size_t>(axis)];
    index.key.push_back(static_cast<int32_t>(place));
    index.query.push_back(static_cast<int32_t>(place - (window - 1)));
  }
  return std::make_shared<RelativeIndex>(std::move(index));
}

std::shared_ptr<const RelativeIndex> relative_buckets(int64_t queries, int64_t keys,
                                                      int64_t buckets, int64_t max_distance,
                                                      bool bidirectional, int64_t query_offset) {
  HEED_CHECK(buckets >= (bidirectional ? 4 : 2) && max_distance > buckets / 2,
             "attention: {} relative buckets up to distance {}", buckets, max_distance);
  RelativeIndex index = by_distance(queries, keys);
  const int64_t side = bidirectional ? buckets / 2 : buckets, exact = side / 2;
  const int64_t least = -(queries - 1 + query_offset);
  for (int64_t d = least; d <= keys - 1 - query_offset; ++d) {
    int64_t distance = bidirectional ? std::abs(d) : std::max<int64_t>(-d, 0);
    if (distance >= exact) {
      const double ratio = std::log(static_cast<double>(distance) / static_cast<double>(exact)) /
                           std::log(static_cast<double>(max_distance) / static_cast<double>(exact));
      distance = std::min(exact + static_cast<int64_t>(ratio * static_cast<double>(side - exact)),
                          side - 1);
    }
    index.map.push_back(static_cast<int32_t>(distance + (bidirectional && d > 0 ? side : 0)));
  }
  return std::make_shared<RelativeIndex>(std::move(index));
}

}  // namespace heed
