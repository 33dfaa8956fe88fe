// Global tokens before the tokens of another pattern: a class token before a map.
#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "kernels/attention/pattern.h"

namespace heed {
namespace {

/// The first `count` queries see all keys, and all queries the first `count` keys; the other
/// tokens follow a rule that counts from the first of them. In the plan's order global tokens come
/// last, so that the rule's tiles keep their places.
class Globals : public PatternRule {
 public:
  Globals(int64_t count, std::shared_ptr<const PatternRule> rest)
      : count_(count), rest_(std::move(rest)) {}

  bool allowed(int64_t b, int64_t h, int64_t i, int64_t j) const override {
    return i < count_ || j < count_ || rest_->allowed(b, h, i - count_, j - count_);
  }
  void check(const PatternExtents& e) const override {
    HEED_CHECK(e.queries >= count_ && e.keys >= count_,
               "attention: {} global tokens before the others, in {} queries and {} keys", count_,
               e.queries, e.keys);
    rest_->check({e.batch, e.heads, e.queries - count_, e.keys - count_});
  }
  std::string text() const override {
    return fmt::format("globals({}, {})", count_, rest_->text());
  }
  bool varies_by_batch() const override { return rest_->varies_by_batch(); }
  bool varies_by_head() const override { return rest_->varies_by_head(); }

  // How many of the tokens are global (none, some, all), then what the rule says of the others.
  int words() const override { return 1 + rest_->words(); }
  void summarise_queries(int64_t b, int64_t h, TileTokens t, int32_t* out) const override {
    out[0] = share(t);
    if (out[0] == kNone) rest_->summarise_queries(b, h, shifted(t), out + 1);
  }
  void summarise_keys(int64_t b, int64_t h, TileTokens t, int32_t* out) const override {
    out[0] = share(t);
    if (out[0] == kNone) rest_->summarise_keys(b, h, shifted(t), out + 1);
  }
  TileKind classify(const int32_t* q, const int32_t* k) const override {
    if (q[0] == kAll || k[0] == kAll) return TileKind::full;
    if (q[0] == kSome || k[0] == kSome) return TileKind::partial;
    return rest_->classify(q + 1, k + 1);
  }
  void mark(int64_t b, int64_t h, TileTokens queries, TileTokens keys,
            TileBits& bits) const override {
    if (share(queries) != kNone || share(keys) != kNone)
      return PatternRule::mark(b, h, queries, keys, bits);
    rest_->mark(b, h, shifted(queries), shifted(keys), bits);
  }

  std::vector<int32_t> query_order(int64_t n) const override {
    return n < count_ ? std::vector<int32_t>{} : followed(rest_->query_order(n - count_));
  }
  std::vector<int32_t> key_order(int64_t n) const override {
    return n < count_ ? std::vector<int32_t>{} : followed(rest_->key_order(n - count_));
  }
  int64_t virtual_keys(int64_t i) const override {
    return i < count_ ? 0 : rest_->virtual_keys(i - count_);
  }
  bool has_virtual_keys() const override { return rest_->has_virtual_keys(); }

 private:
  enum : int32_t { kNone, kSome, kAll };

  int32_t share(TileTokens t) const {
    const auto globals = std::count_if(t.begin(), t.end(), [&](int32_t x) { return x < count_; });
    return globals == 0 ? kNone : globals == static_cast<int64_t>(t.size()) ? kAll : kSome;
  }
  std::vector<int32_t> shifted(TileTokens t) const {
    std::vector<int32_t> own(t.begin(), t.end());
    for (int32_t& x : own) x -= static_cast<int32_t>(count_);
    return own;
  }
  std::vector<int32_t> followed(std::vector<int32_t> order) const {
    if (order.empty()) return order;
    for (int32_t& x : order) x += static_cast<int32_t>(count_);
    for (int64_t g = 0; g < count_; ++g) order.push_back(static_cast<int32_t>(g));
    return order;
  }

  int64_t count_;
  std::shared_ptr<const PatternRule> rest_;
};

}  // namespace

AttentionPattern AttentionPattern::globals(int64_t count, const AttentionPattern& rest) {
  HEED_CHECK(count >= 0, "attention: {} global tokens", count);
  if (count == 0 || rest.is_dense()) return rest;
  return AttentionPattern(std::make_shared<Globals>(count, rest.rule()), rest.query_offset);
}

}  // namespace heed
