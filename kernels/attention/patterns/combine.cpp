// Patterns made of patterns: union, intersection, one for each head, one for each key region.
#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "kernels/attention/pattern.h"

namespace heed {
namespace {

using RulePtr = std::shared_ptr<const PatternRule>;

/// The union (any) or intersection of two rules.
class Pair : public PatternRule {
 public:
  Pair(bool any, RulePtr a, RulePtr b) : any_(any), a_(std::move(a)), b_(std::move(b)) {}

  bool allowed(int64_t b, int64_t h, int64_t i, int64_t j) const override {
    return any_ ? a_->allowed(b, h, i, j) || b_->allowed(b, h, i, j)
                : a_->allowed(b, h, i, j) && b_->allowed(b, h, i, j);
  }
  void check(const PatternExtents& e) const override {
    a_->check(e);
    b_->check(e);
    HEED_CHECK(!a_->has_virtual_keys() && !b_->has_virtual_keys(),
               "attention: a pattern with virtual keys cannot be combined: {}", text());
  }
  std::string text() const override {
    return fmt::format("({} {} {})", a_->text(), any_ ? '|' : '&', b_->text());
  }
  bool varies_by_batch() const override { return a_->varies_by_batch() || b_->varies_by_batch(); }
  bool varies_by_head() const override { return a_->varies_by_head() || b_->varies_by_head(); }

  int words() const override { return a_->words() + b_->words(); }
  void summarise_queries(int64_t b, int64_t h, TileTokens t, int32_t* out) const override {
    a_->summarise_queries(b, h, t, out);
    b_->summarise_queries(b, h, t, out + a_->words());
  }
  void summarise_keys(int64_t b, int64_t h, TileTokens t, int32_t* out) const override {
    a_->summarise_keys(b, h, t, out);
    b_->summarise_keys(b, h, t, out + a_->words());
  }
  TileKind classify(const int32_t* q, const int32_t* k) const override {
    const TileKind decisive = any_ ? TileKind::full : TileKind::empty;
    const TileKind x = a_->classify(q, k);
    if (x == decisive) return x;
    const TileKind y = b_->classify(q + a_->words(), k + a_->words());
    if (y == decisive) return y;
    return x == y ? x : TileKind::partial;
  }
  void mark(int64_t b, int64_t h, TileTokens queries, TileTokens keys,
            TileBits& bits) const override {
    a_->mark(b, h, queries, keys, bits);
    TileBits more{};
    b_->mark(b, h, queries, keys, more);
    for (size_t k = 0; k < keys.size(); ++k) bits[k] = any_ ? bits[k] | more[k] : bits[k] & more[k];
  }
  std::vector<int32_t> query_order(int64_t n) const override {
    auto order = a_->query_order(n);
    return order.empty() ? b_->query_order(n) : order;
  }
  std::vector<int32_t> key_order(int64_t n) const override {
    auto order = a_->key_order(n);
    return order.empty() ? b_->key_order(n) : order;
  }

 private:
  bool any_;
  RulePtr a_, b_;
};

class PerHead : public PatternRule {
 public:
  explicit PerHead(std::vector<AttentionPattern> heads) : heads_(std::move(heads)) {
    for (const AttentionPattern& head : heads_)
      if (head.rule()) words_ = std::max(words_, head.rule()->words());
  }

  bool allowed(int64_t b, int64_t h, int64_t i, int64_t j) const override {
    return heads_[static_cast<size_t>(h)].allowed(b, h, i, j);
  }
  void check(const PatternExtents& e) const override {
    HEED_CHECK(static_cast<int64_t>(heads_.size()) == e.heads,
               "attention: {} patterns for {} heads", heads_.size(), e.heads);
    for (const AttentionPattern& head : heads_) {
      if (!head.rule()) continue;
      head.rule()->check(e);
      HEED_CHECK(!head.rule()->has_virtual_keys(),
                 "attention: a pattern with virtual keys cannot be combined: {}", head.text());
    }
  }
  std::string text() const override {
    std::string all = "per_head[";
    for (const AttentionPattern& head : heads_) all += head.text() + "; ";
    return all + "]";
  }
  bool varies_by_batch() const override {
    return std::any_of(heads_.begin(), heads_.end(), [](const AttentionPattern& head) {
      return head.rule() && head.rule()->varies_by_batch();
    });
  }
  bool varies_by_head() const override { return true; }
  int words() const override { return words_ + 1; }
  void summarise_queries(int64_t b, int64_t h, TileTokens t, int32_t* out) const override {
    out[0] = static_cast<int32_t>(h);
    if (const PatternRule* rule = of(h)) rule->summarise_queries(b, h, t, out + 1);
  }
  void summarise_keys(int64_t b, int64_t h, TileTokens t, int32_t* out) const override {
    if (const PatternRule* rule = of(h)) rule->summarise_keys(b, h, t, out + 1);
  }
  TileKind classify(const int32_t* q, const int32_t* k) const override {
    const PatternRule* rule = of(q[0]);
    return rule ? rule->classify(q + 1, k + 1) : TileKind::full;
  }
  void mark(int64_t b, int64_t h, TileTokens queries, TileTokens keys,
            TileBits& bits) const override {
    if (of(h) == nullptr)
      std::fill_n(bits.begin(), keys.size(), ~uint64_t{0} >> (kTileSide - queries.size()));
    else
      of(h)->mark(b, h, queries, keys, bits);
  }
  std::vector<int32_t> query_order(int64_t n) const override {
    return of(0) ? of(0)->query_order(n) : std::vector<int32_t>{};
  }
  std::vector<int32_t> key_order(int64_t n) const override {
    return of(0) ? of(0)->key_order(n) : std::vector<int32_t>{};
  }

 private:
  const PatternRule* of(int64_t h) const { return heads_[static_cast<size_t>(h)].rule().get(); }

  std::vector<AttentionPattern> heads_;
  int words_ = 0;
};

class Regions : public PatternRule {
 public:
  explicit Regions(std::vector<KeyRegion> regions) : regions_(std::move(regions)) {
    for (const KeyRegion& region : regions_) {
      starts_.push_back(keys_);
      offsets_.push_back(words_);
      keys_ += region.keys;
      if (region.pattern.rule()) words_ += region.pattern.rule()->words();
    }
  }

  bool allowed(int64_t b, int64_t h, int64_t i, int64_t j) const override {
    const size_t r = region_of(j);
    return regions_[r].pattern.allowed(b, h, i, j - starts_[r]);
  }
  void check(const PatternExtents& e) const override {
    HEED_CHECK(e.keys == keys_, "attention: key regions of {} keys in all, got {}", keys_, e.keys);
    for (const KeyRegion& region : regions_) {
      if (!region.pattern.rule()) continue;
      region.pattern.rule()->check({e.batch, e.heads, e.queries, region.keys});
      HEED_CHECK(!region.pattern.rule()->has_virtual_keys(),
                 "attention: a pattern with virtual keys cannot be combined: {}",
                 region.pattern.text());
    }
  }
  std::string text() const override {
    std::string all = "regions[";
    for (const KeyRegion& r : regions_) all += fmt::format("{}: {}; ", r.keys, r.pattern.text());
    return all + "]";
  }
  bool varies_by_batch() const override { return any(&PatternRule::varies_by_batch); }
  bool varies_by_head() const override { return any(&PatternRule::varies_by_head); }

  // The summary of keys: their region (-1: several), then what its own pattern says of them.
  int words() const override { return words_ + 1; }
  void summarise_queries(int64_t b, int64_t h, TileTokens t, int32_t* out) const override {
    for (size_t r = 0; r < regions_.size(); ++r)
      if (const PatternRule* rule = regions_[r].pattern.rule().get())
        rule->summarise_queries(b, h, t, out + 1 + offsets_[r]);
  }
  void summarise_keys(int64_t b, int64_t h, TileTokens t, int32_t* out) const override {
    const size_t r = region_of(t.front());
    const bool one = std::all_of(t.begin(), t.end(), [&](int32_t j) { return region_of(j) == r; });
    out[0] = one ? static_cast<int32_t>(r) : -1;
    const PatternRule* rule = regions_[r].pattern.rule().get();
    if (!one || rule == nullptr) return;
    std::vector<int32_t> own(t.begin(), t.end());
    for (int32_t& j : own) j -= static_cast<int32_t>(starts_[r]);
    rule->summarise_keys(b, h, own, out + 1 + offsets_[r]);
  }
  TileKind classify(const int32_t* q, const int32_t* k) const override {
    if (k[0] < 0) return TileKind::partial;
    const auto r = static_cast<size_t>(k[0]);
    const PatternRule* rule = regions_[r].pattern.rule().get();
    return rule ? rule->classify(q + 1 + offsets_[r], k + 1 + offsets_[r]) : TileKind::full;
  }

 private:
  size_t region_of(int64_t j) const {
    return static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), j) -
                               starts_.begin() - 1);
  }
  bool any(bool (PatternRule::*varies)() const) const {
    return std::any_of(regions_.begin(), regions_.end(), [&](const KeyRegion& r) {
      return r.pattern.rule() && (r.pattern.rule().get()->*varies)();
    });
  }

  std::vector<KeyRegion> regions_;
  std::vector<int64_t> starts_;
  std::vector<int> offsets_;
  int64_t keys_ = 0;
  int words_ = 0;
};

}  // namespace

AttentionPattern operator|(const AttentionPattern& a, const AttentionPattern& b) {
  if (a.is_dense() || b.is_dense()) return a.is_dense() ? a : b;
  return AttentionPattern(std::make_shared<Pair>(true, a.rule(), b.rule()),
                          a.query_offset != 0 ? a.query_offset : b.query_offset);
}

AttentionPattern operator&(const AttentionPattern& a, const AttentionPattern& b) {
  if (a.is_dense() || b.is_dense()) return a.is_dense() ? b : a;
  return AttentionPattern(std::make_shared<Pair>(false, a.rule(), b.rule()),
                          a.query_offset != 0 ? a.query_offset : b.query_offset);
}

AttentionPattern AttentionPattern::per_head(const std::vector<AttentionPattern>& heads) {
  HEED_CHECK(!heads.empty(), "attention: patterns for no heads");
  return AttentionPattern(std::make_shared<PerHead>(heads), heads.front().query_offset);
}

AttentionPattern AttentionPattern::regions(const std::vector<KeyRegion>& regions) {
  HEED_CHECK(!regions.empty(), "attention: no key regions");
  std::vector<KeyRegion> used;
  for (const KeyRegion& region : regions)
    if (region.keys > 0) used.push_back(region);
  HEED_CHECK(!used.empty(), "attention: key regions without keys");
  return AttentionPattern(std::make_shared<Regions>(used));
}

}  // namespace heed
