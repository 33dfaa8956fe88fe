// Causal, windows, prefixes: the keys of query i are [start(i), end(i)), both non-decreasing.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "kernels/attention/pattern.h"

namespace heed {
namespace {

constexpr int64_t kFar = int64_t{1} << 30;

/// start = i + low and end = i + high, or no bound where these are -kFar and kFar.
class Interval : public PatternRule {
 public:
  Interval(int64_t low, int64_t high, std::string text)
      : low_(low), high_(high), text_(std::move(text)) {}

  bool allowed(int64_t, int64_t, int64_t i, int64_t j) const override {
    return start(i) <= j && j < end(i);
  }
  void check(const PatternExtents&) const override {}
  std::string text() const override { return text_; }

  int words() const override { return 4; }
  void summarise_queries(int64_t, int64_t, TileTokens t, int32_t* out) const override {
    const auto [lo, hi] = std::minmax_element(t.begin(), t.end());
    out[0] = start(*lo), out[1] = start(*hi), out[2] = end(*lo), out[3] = end(*hi);
  }
  void summarise_keys(int64_t, int64_t, TileTokens t, int32_t* out) const override {
    const auto [lo, hi] = std::minmax_element(t.begin(), t.end());
    out[0] = *lo, out[1] = *hi;
  }
  TileKind classify(const int32_t* q, const int32_t* k) const override {
    if (q[3] <= k[0] || q[0] > k[1]) return TileKind::empty;
    return q[1] <= k[0] && q[2] > k[1] ? TileKind::full : TileKind::partial;
  }
  void mark(int64_t, int64_t, TileTokens queries, TileTokens keys, TileBits& bits) const override {
    for (size_t q = 0; q < queries.size(); ++q) {
      const int32_t from = start(queries[q]), to = end(queries[q]);
      for (size_t k = 0; k < keys.size(); ++k)
        bits[k] |= static_cast<uint64_t>(from <= keys[k] && keys[k] < to) << q;
    }
  }

 private:
  int32_t start(int64_t i) const {
    return static_cast<int32_t>(low_ == -kFar ? -kFar : std::clamp(i + low_, -kFar, kFar));
  }
  int32_t end(int64_t i) const {
    return static_cast<int32_t>(high_ == kFar ? kFar : std::clamp(i + high_, -kFar, kFar));
  }

  int64_t low_, high_;
  std::string text_;
};

/// The first `count` queries, or keys.
class First : public PatternRule {
 public:
  First(bool of_keys, int64_t count) : of_keys_(of_keys), count_(count) {}

  bool allowed(int64_t, int64_t, int64_t i, int64_t j) const override {
    return (of_keys_ ? j : i) < count_;
  }
  void check(const PatternExtents&) const override {}
  std::string text() const override {
    return fmt::format("{}({})", of_keys_ ? "prefix" : "global_queries", count_);
  }
  int words() const override { return 2; }
  void summarise_queries(int64_t, int64_t, TileTokens t, int32_t* out) const override {
    const auto [lo, hi] = std::minmax_element(t.begin(), t.end());
    out[0] = *lo, out[1] = *hi;
  }
  void summarise_keys(int64_t b, int64_t h, TileTokens t, int32_t* out) const override {
    summarise_queries(b, h, t, out);
  }
  TileKind classify(const int32_t* q, const int32_t* k) const override {
    const int32_t* x = of_keys_ ? k : q;
    if (x[0] >= count_) return TileKind::empty;
    return x[1] < count_ ? TileKind::full : TileKind::partial;
  }

 private:
  bool of_keys_;
  int64_t count_;
};

}  // namespace

AttentionPattern AttentionPattern::causal(int64_t query_offset) {
  return AttentionPattern(
      std::make_shared<Interval>(-kFar, query_offset + 1, fmt::format("causal({})", query_offset)),
      query_offset);
}

AttentionPattern AttentionPattern::window(int64_t left, int64_t right, int64_t query_offset) {
  return AttentionPattern(
      std::make_shared<Interval>(query_offset - left, query_offset + right + 1,
                                 fmt::format("window({}, {}, {})", left, right, query_offset)),
      query_offset);
}

AttentionPattern AttentionPattern::prefix(int64_t count) {
  return AttentionPattern(std::make_shared<First>(true, count));
}

AttentionPattern AttentionPattern::global_queries(int64_t count) {
  return AttentionPattern(std::make_shared<First>(false, count));
}

}  // namespace heed
