#include "kernels/attention/patterns/named.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "core/error.h"

namespace heed {
namespace {

/// Some keys, for all queries, and each query's own. In the plan's order the kept tokens come
/// first: their tiles are full, and of all others only the diagonal is left.
class Sources : public PatternRule {
 public:
  Sources(std::vector<uint8_t> kept, std::string text)
      : kept_(std::move(kept)), text_(std::move(text)) {}

  bool allowed(int64_t, int64_t, int64_t i, int64_t j) const override {
    return i == j || kept_[static_cast<size_t>(j)] != 0;
  }
  void check(const PatternExtents& e) const override {
    const auto tokens = static_cast<int64_t>(kept_.size());
    HEED_CHECK(e.queries == tokens && e.keys == tokens,
               "attention: sources among {} tokens, for {} queries and {} keys", tokens, e.queries,
               e.keys);
  }
  std::string text() const override { return text_; }

  int words() const override { return 3; }  // least and largest token; how many are kept: 0, 1, 2
  void summarise_queries(int64_t, int64_t, TileTokens t, int32_t* out) const override {
    const auto [lo, hi] = std::minmax_element(t.begin(), t.end());
    const auto kept = std::count_if(t.begin(), t.end(), [&](int32_t x) { return is_kept(x); });
    out[0] = *lo, out[1] = *hi;
    out[2] = kept == 0 ? 0 : kept == static_cast<int64_t>(t.size()) ? 2 : 1;
  }
  void summarise_keys(int64_t b, int64_t h, TileTokens t, int32_t* out) const override {
    summarise_queries(b, h, t, out);
  }
  TileKind classify(const int32_t* q, const int32_t* k) const override {
    if (k[2] == 2) return TileKind::full;
    return k[2] == 0 && (q[1] < k[0] || q[0] > k[1]) ? TileKind::empty : TileKind::partial;
  }

  std::vector<int32_t> query_order(int64_t n) const override { return key_order(n); }
  std::vector<int32_t> key_order(int64_t n) const override {
    if (n != static_cast<int64_t>(kept_.size())) return {};
    std::vector<int32_t> order(kept_.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_partition(order.begin(), order.end(), [&](int32_t x) { return is_kept(x); });
    return order;
  }

 private:
  bool is_kept(int32_t token) const { return kept_[static_cast<size_t>(token)] != 0; }

  std::vector<uint8_t> kept_;
  std::string text_;
};

}  // namespace

AttentionPattern random_sources(int64_t tokens, int64_t kept, const RandomKey& key) {
  HEED_CHECK(kept >= 0 && kept <= tokens, "attention: {} random sources of {} tokens", kept,
             tokens);
  // The tokens of the smallest draws; ties go to the first.
  const RandomStream stream(key);
  std::vector<std::pair<uint32_t, int64_t>> draws;
  for (int64_t t = 0; t < tokens; ++t)
    draws.emplace_back(stream.block(static_cast<uint64_t>(t))[0], t);
  std::sort(draws.begin(), draws.end());
  std::vector<uint8_t> chosen(static_cast<size_t>(tokens), 0);
  for (int64_t n = 0; n < kept; ++n)
    chosen[static_cast<size_t>(draws[static_cast<size_t>(n)].second)] = 1;
  const std::string text = fmt::format("random_sources({} of {}: {})", kept, tokens,
                                       fingerprint(chosen.data(), chosen.size()));
  return AttentionPattern(std::make_shared<Sources>(std::move(chosen), text));
}

AttentionPattern block_window(int64_t tokens, int64_t block, int64_t before, int64_t after) {
  HEED_CHECK(block > 0 && before >= 0 && after >= 0,
             "attention: blocks of {} tokens, {} before and {} behind", block, before, after);
  SeparableAxis axis{tokens};
  for (int64_t i = 0; i < tokens; ++i) {
    const int64_t own = i / block;
    axis.sees.push_back({static_cast<int32_t>(std::max<int64_t>(own - before, 0) * block),
                         static_cast<int32_t>(std::min((own + after + 1) * block, tokens))});
  }
  return AttentionPattern::separable({axis}, "block_window");
}

AttentionPattern centred_taps(const std::vector<TapAxis>& axes) {
  std::vector<SeparableAxis> tables;
  for (const TapAxis& axis : axes) {
    HEED_CHECK(
        axis.keys > 0 && axis.taps > 0 && axis.taps % 2 == 1 && axis.dilation > 0 && axis.pool > 0,
        "attention: {} taps, dilation {}, pool {} over {} keys: taps must be odd", axis.taps,
        axis.dilation, axis.pool, axis.keys);
    SeparableAxis table{axis.keys, {}, 1, axis.dilation};
    const int64_t reach = axis.taps / 2 * axis.dilation;
    for (int64_t i = 0; i < axis.keys * axis.pool; ++i) {
      const int64_t centre = i / axis.pool;
      // The first tap within the border, and the end behind the last.
      const int64_t cut = std::max<int64_t>(0, reach - centre) + axis.dilation - 1;
      const int64_t start = centre - reach + cut / axis.dilation * axis.dilation;
      const int64_t end = std::min(centre + reach + 1, axis.keys);
      const int64_t inside = (end - start + axis.dilation - 1) / axis.dilation;
      table.sees.push_back({static_cast<int32_t>(start), static_cast<int32_t>(end),
                            static_cast<int32_t>(axis.dilation),
                            static_cast<int32_t>(axis.taps - inside)});
    }
    tables.push_back(std::move(table));
  }
  return AttentionPattern::separable(tables, "centred_taps");
}

}  // namespace heed
