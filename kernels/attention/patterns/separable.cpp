// Patterns on a grid of 1 to 3 axes (row-major) that say for each axis which keys a query sees; it
// sees the product of them. A few integers for every coordinate describe all pairs.
//
// Tokens are reordered so that 64 neighbours form a compact box: strips of `kCell` rows walked
// column by column (bricks, with three axes), residues of a dilation apart.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "kernels/attention/pattern.h"

namespace heed {
namespace {

constexpr int64_t kCell = 4;
constexpr size_t kMaxAxes = 3;

class Separable : public PatternRule {
 public:
  Separable(std::vector<SeparableAxis> axes, std::string text)
      : axes_(std::move(axes)), text_(std::move(text)) {}

  bool allowed(int64_t, int64_t, int64_t i, int64_t j) const override {
    for (size_t a = axes_.size(); a-- > 0;) {
      const SeparableAxis& axis = axes_[a];
      const auto queries = static_cast<int64_t>(axis.sees.size());
      if (!sees(axis.sees[static_cast<size_t>(i % queries)], static_cast<int32_t>(j % axis.keys)))
        return false;
      i /= queries, j /= axis.keys;
    }
    return true;
  }

  void check(const PatternExtents& e) const override {
    int64_t queries = 1, keys = 1;
    for (const SeparableAxis& axis : axes_)
      queries *= static_cast<int64_t>(axis.sees.size()), keys *= axis.keys;
    HEED_CHECK(e.queries == queries && e.keys == keys,
               "attention: pattern {} is for {} queries and {} keys, got {} and {}", text_, queries,
               keys, e.queries, e.keys);
  }

  std::string text() const override { return text_; }

  // Of each axis: the first and last start, and end; whether steps leave keys out.
  int words() const override { return 5 * static_cast<int>(axes_.size()); }
  void summarise_queries(int64_t, int64_t, TileTokens tokens, int32_t* out) const override {
    for (size_t a = 0; a < axes_.size(); ++a) {
      int32_t* w = out + 5 * a;
      w[0] = w[2] = INT32_MAX, w[1] = w[3] = INT32_MIN, w[4] = 0;
      for (const int32_t token : tokens) {
        const AxisKeys& k = axes_[a].sees[static_cast<size_t>(query_at(a, token))];
        w[0] = std::min(w[0], k.start), w[1] = std::max(w[1], k.start);
        w[2] = std::min(w[2], k.end), w[3] = std::max(w[3], k.end);
        w[4] |= k.step != 1;
      }
    }
  }
  void summarise_keys(int64_t, int64_t, TileTokens tokens, int32_t* out) const override {
    for (size_t a = 0; a < axes_.size(); ++a) {
      out[5 * a] = INT32_MAX, out[5 * a + 1] = INT32_MIN;
      for (const int32_t token : tokens) {
        const auto x = static_cast<int32_t>(key_at(a, token));
        out[5 * a] = std::min(out[5 * a], x), out[5 * a + 1] = std::max(out[5 * a + 1], x);
      }
    }
  }
  TileKind classify(const int32_t* q, const int32_t* k) const override {
    bool full = true;
    for (size_t a = 0; a < axes_.size(); ++a, q += 5, k += 5) {
      if (q[3] <= k[0] || q[0] > k[1]) return TileKind::empty;
      full = full && q[1] <= k[0] && q[2] > k[1] && q[4] == 0;
    }
    return full ? TileKind::full : TileKind::partial;
  }

  void mark(int64_t, int64_t, TileTokens queries, TileTokens keys, TileBits& bits) const override {
    std::fill_n(bits.begin(), keys.size(), ~uint64_t{0});
    for (size_t a = 0; a < axes_.size(); ++a) {
      std::array<AxisKeys, kTileSide> see;
      for (size_t q = 0; q < queries.size(); ++q)
        see[q] = axes_[a].sees[static_cast<size_t>(query_at(a, queries[q]))];
      // Keys of a tile share coordinates: each is looked at once.
      std::array<int64_t, kTileSide> at;
      std::array<uint64_t, kTileSide> word;
      size_t known = 0;
      for (size_t k = 0; k < keys.size(); ++k) {
        const int64_t x = key_at(a, keys[k]);
        size_t f = 0;
        while (f < known && at[f] != x) ++f;
        if (f == known) {
          at[known] = x, word[known] = 0;
          for (size_t q = 0; q < queries.size(); ++q)
            word[known] |= static_cast<uint64_t>(sees(see[q], static_cast<int32_t>(x))) << q;
          ++known;
        }
        bits[k] &= word[f];
      }
    }
  }

  std::vector<int32_t> query_order(int64_t) const override { return order(true); }
  std::vector<int32_t> key_order(int64_t) const override { return order(false); }

  bool has_virtual_keys() const override {
    for (const SeparableAxis& axis : axes_)
      for (const AxisKeys& k : axis.sees)
        if (k.beyond > 0) return true;
    return false;
  }
  int64_t virtual_keys(int64_t i) const override {
    int64_t within = 1, all = 1;
    for (size_t a = 0; a < axes_.size(); ++a) {
      const AxisKeys& k = axes_[a].sees[static_cast<size_t>(query_at(a, i))];
      const int64_t own = (k.end - k.start + k.step - 1) / k.step;
      within *= own, all *= own + k.beyond;
    }
    return all - within;
  }

 private:
  static bool sees(const AxisKeys& k, int32_t j) {
    return k.start <= j && j < k.end && (k.step == 1 || (j - k.start) % k.step == 0);
  }
  int64_t query_at(size_t axis, int64_t i) const {
    for (size_t a = axes_.size() - 1; a > axis; --a)
      i /= static_cast<int64_t>(axes_[a].sees.size());
    return i % static_cast<int64_t>(axes_[axis].sees.size());
  }
  int64_t key_at(size_t axis, int64_t j) const {
    for (size_t a = axes_.size() - 1; a > axis; --a) j /= axes_[a].keys;
    return j % axes_[axis].keys;
  }

  /// Tokens sorted by (residues, cells of all axes but the last, place on the last, places within
  /// the cell): cells of kCell tokens, or those of the pattern where it has cells of its own.
  std::vector<int32_t> order(bool of_queries) const {
    const bool plain = axes_.size() == 1 && axes_[0].dilation == 1;
    if (plain) return {};
    int64_t count = 1;
    for (const SeparableAxis& axis : axes_)
      count *= of_queries ? static_cast<int64_t>(axis.sees.size()) : axis.keys;
    using Key = std::array<int32_t, 3 * kMaxAxes>;
    std::vector<Key> keys(static_cast<size_t>(count));
    for (int64_t t = 0; t < count; ++t) {
      Key& key = keys[static_cast<size_t>(t)];
      key.fill(0);
      for (size_t a = 0; a < axes_.size(); ++a) {
        const SeparableAxis& axis = axes_[a];
        const int64_t queries = static_cast<int64_t>(axis.sees.size());
        const int64_t x = of_queries ? query_at(a, t) : key_at(a, t);
        const int64_t residue = x % axis.dilation, place = x / axis.dilation;
        const bool last = a + 1 == axes_.size();
        const int64_t own =
            of_queries ? std::max<int64_t>(1, axis.cell * queries / axis.keys) : axis.cell;
        const int64_t cell = own > 1 ? own : (last ? 1 : kCell);
        key[a] = static_cast<int32_t>(residue);
        key[kMaxAxes + a] = static_cast<int32_t>(place / cell);
        key[2 * kMaxAxes + a] = static_cast<int32_t>(place % cell);
      }
    }
    std::vector<int32_t> tokens(static_cast<size_t>(count));
    std::iota(tokens.begin(), tokens.end(), 0);
    std::sort(tokens.begin(), tokens.end(), [&](int32_t x, int32_t y) {
      return keys[static_cast<size_t>(x)] < keys[static_cast<size_t>(y)];
    });
    return tokens;
  }

  std::vector<SeparableAxis> axes_;
  std::string text_;
};

}  // namespace

AttentionPattern AttentionPattern::separable(const std::vector<SeparableAxis>& axes,
                                             const std::string& name) {
  HEED_CHECK(!axes.empty() && axes.size() <= kMaxAxes, "attention: pattern {} has {} axes, not 1-3",
             name, axes.size());
  std::string text = name + "{";
  for (const SeparableAxis& axis : axes) {
    HEED_CHECK(axis.keys > 0 && !axis.sees.empty(), "attention: pattern {} has an empty axis",
               name);
    for (const AxisKeys& k : axis.sees) {
      HEED_CHECK(k.start >= 0 && k.end <= axis.keys && k.start <= k.end && k.step > 0,
                 "attention: pattern {}: keys [{}, {}) by {} on an axis of {}", name, k.start,
                 k.end, k.step, axis.keys);
    }
    text += fmt::format("{}:{} ", axis.keys,
                        fingerprint(axis.sees.data(), axis.sees.size() * sizeof(AxisKeys)));
  }
  return AttentionPattern(std::make_shared<Separable>(axes, text + "}"));
}

}  // namespace heed
