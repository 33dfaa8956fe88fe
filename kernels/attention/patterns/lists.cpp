// Patterns given as lists: key blocks for each query block, keys for each query; and by a function.
#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "kernels/attention/pattern.h"

namespace heed {
namespace {

class Blocks : public PatternRule {
 public:
  Blocks(int64_t block, const std::vector<std::vector<int32_t>>& sees, int64_t batch, int64_t heads)
      : block_(block), batch_(batch), heads_(heads) {
    rows_ = static_cast<int64_t>(sees.size()) / (batch * heads);
    for (const auto& list : sees)
      for (const int32_t k : list) columns_ = std::max<int64_t>(columns_, k + 1);
    seen_.assign(sees.size() * static_cast<size_t>(columns_), 0);
    for (size_t r = 0; r < sees.size(); ++r)
      for (const int32_t k : sees[r])
        seen_[r * static_cast<size_t>(columns_) + static_cast<size_t>(k)] = 1;
    text_ = fmt::format("blocks({}, {}x{}x{}x{}, {})", block, batch, heads, rows_, columns_,
                        fingerprint(seen_.data(), seen_.size()));
  }

  bool allowed(int64_t b, int64_t h, int64_t i, int64_t j) const override {
    return sees(variant(b, h), i / block_, j / block_);
  }
  void check(const PatternExtents& e) const override {
    HEED_CHECK((batch_ == 1 || batch_ == e.batch) && (heads_ == 1 || heads_ == e.heads) &&
                   rows_ == (e.queries + block_ - 1) / block_ &&
                   columns_ <= (e.keys + block_ - 1) / block_,
               "attention: lists of {} blocks of {} in batch {}, {} heads, up to key block {}, for "
               "batch {}, {} heads, {} queries and {} keys",
               rows_, block_, batch_, heads_, columns_ - 1, e.batch, e.heads, e.queries, e.keys);
  }
  std::string text() const override { return text_; }
  bool varies_by_batch() const override { return batch_ > 1; }
  bool varies_by_head() const override { return heads_ > 1; }

  int words() const override { return 3; }
  void summarise_queries(int64_t b, int64_t h, TileTokens t, int32_t* out) const override {
    summarise_keys(b, h, t, out);
    out[2] = static_cast<int32_t>(variant(b, h));
  }
  void summarise_keys(int64_t, int64_t, TileTokens t, int32_t* out) const override {
    const auto [lo, hi] = std::minmax_element(t.begin(), t.end());
    out[0] = static_cast<int32_t>(*lo / block_), out[1] = static_cast<int32_t>(*hi / block_);
  }
  TileKind classify(const int32_t* q, const int32_t* k) const override {
    int64_t seen = 0;
    for (int32_t i = q[0]; i <= q[1]; ++i)
      for (int32_t j = k[0]; j <= k[1]; ++j) seen += sees(q[2], i, j);
    if (seen == 0) return TileKind::empty;
    const int64_t all = static_cast<int64_t>(q[1] - q[0] + 1) * (k[1] - k[0] + 1);
    return seen == all ? TileKind::full : TileKind::partial;
  }

 private:
  int64_t variant(int64_t b, int64_t h) const {
    return (batch_ > 1 ? b : 0) * heads_ + (heads_ > 1 ? h : 0);
  }
  bool sees(int64_t variant, int64_t i, int64_t j) const {
    return j < columns_ && seen_[static_cast<size_t>((variant * rows_ + i) * columns_ + j)] != 0;
  }

  int64_t block_, batch_, heads_, rows_ = 0, columns_ = 0;
  std::vector<uint8_t> seen_;
  std::string text_;
};

class Indices : public PatternRule {
 public:
  Indices(std::vector<int32_t> ids, int64_t batch, int64_t heads, int64_t queries, int64_t count)
      : ids_(std::move(ids)), batch_(batch), heads_(heads), queries_(queries), count_(count) {
    for (auto row = ids_.begin(); row != ids_.end(); row += count_) std::sort(row, row + count_);
    text_ = fmt::format("indices({}x{}x{}x{}, {})", batch, heads, queries, count,
                        fingerprint(ids_.data(), ids_.size() * sizeof(int32_t)));
  }

  bool allowed(int64_t b, int64_t h, int64_t i, int64_t j) const override {
    const int32_t* row = row_of(b, h, i);
    return std::binary_search(row, row + count_, static_cast<int32_t>(j));
  }
  void check(const PatternExtents& e) const override {
    HEED_CHECK((batch_ == 1 || batch_ == e.batch) && (heads_ == 1 || heads_ == e.heads) &&
                   queries_ == e.queries,
               "attention: key indices [{}, {}, {}, {}] for batch {}, {} heads, {} queries", batch_,
               heads_, queries_, count_, e.batch, e.heads, e.queries);
    const auto most = std::max_element(ids_.begin(), ids_.end());
    HEED_CHECK(most == ids_.end() || *most < e.keys, "attention: key index {} of {} keys",
               most == ids_.end() ? 0 : *most, e.keys);
  }
  std::string text() const override { return text_; }
  bool varies_by_batch() const override { return batch_ > 1; }
  bool varies_by_head() const override { return heads_ > 1; }

  void mark(int64_t b, int64_t h, TileTokens queries, TileTokens keys,
            TileBits& bits) const override {
    const bool neighbours = keys.back() - keys.front() == static_cast<int32_t>(keys.size()) - 1 &&
                            std::is_sorted(keys.begin(), keys.end());
    if (!neighbours) return PatternRule::mark(b, h, queries, keys, bits);
    for (size_t q = 0; q < queries.size(); ++q) {
      const int32_t* row = row_of(b, h, queries[q]);
      const int32_t* at = std::lower_bound(row, row + count_, keys.front());
      for (; at != row + count_ && *at <= keys.back(); ++at)
        bits[static_cast<size_t>(*at - keys.front())] |= uint64_t{1} << q;
    }
  }

 private:
  const int32_t* row_of(int64_t b, int64_t h, int64_t i) const {
    const int64_t variant = (batch_ > 1 ? b : 0) * heads_ + (heads_ > 1 ? h : 0);
    return ids_.data() + (variant * queries_ + i) * count_;
  }

  std::vector<int32_t> ids_;  // sorted within a row
  int64_t batch_, heads_, queries_, count_;
  std::string text_;
};

class Where : public PatternRule {
 public:
  using Allowed = std::function<bool(int64_t, int64_t, int64_t, int64_t)>;
  Where(std::string name, bool varies, Allowed allowed)
      : name_(std::move(name)), varies_(varies), allowed_(std::move(allowed)) {}

  bool allowed(int64_t b, int64_t h, int64_t i, int64_t j) const override {
    return allowed_(b, h, i, j);
  }
  void check(const PatternExtents&) const override {}
  std::string text() const override { return "where(" + name_ + ")"; }
  bool varies_by_batch() const override { return varies_; }
  bool varies_by_head() const override { return varies_; }

 private:
  std::string name_;
  bool varies_;
  Allowed allowed_;
};

}  // namespace

AttentionPattern AttentionPattern::blocks(int64_t block,
                                          const std::vector<std::vector<int32_t>>& sees,
                                          int64_t batch, int64_t heads) {
  HEED_CHECK(
      block > 0 && batch > 0 && heads > 0 && sees.size() % static_cast<size_t>(batch * heads) == 0,
      "attention: {} lists of key blocks for batch {}, {} heads", sees.size(), batch, heads);
  for (const auto& list : sees)
    for (const int32_t k : list) HEED_CHECK(k >= 0, "attention: key block {}", k);
  return AttentionPattern(std::make_shared<Blocks>(block, sees, batch, heads));
}

AttentionPattern AttentionPattern::blocks(int64_t block, int64_t queries, int64_t keys,
                                          const std::function<bool(int64_t, int64_t)>& sees) {
  HEED_CHECK(block > 0, "attention: blocks of {} tokens", block);
  std::vector<std::vector<int32_t>> lists(static_cast<size_t>((queries + block - 1) / block));
  for (size_t i = 0; i < lists.size(); ++i)
    for (int64_t j = 0; j < (keys + block - 1) / block; ++j)
      if (sees(static_cast<int64_t>(i), j)) lists[i].push_back(static_cast<int32_t>(j));
  return blocks(block, lists);
}

AttentionPattern AttentionPattern::indices(const std::vector<int32_t>& ids, int64_t batch,
                                           int64_t heads, int64_t queries, int64_t count) {
  HEED_CHECK(count > 0 && static_cast<int64_t>(ids.size()) == batch * heads * queries * count,
             "attention: {} key indices for [{}, {}, {}, {}]", ids.size(), batch, heads, queries,
             count);
  return AttentionPattern(std::make_shared<Indices>(ids, batch, heads, queries, count));
}

AttentionPattern AttentionPattern::where(const std::string& name,
                                         const std::function<bool(int64_t, int64_t)>& allowed) {
  return AttentionPattern(std::make_shared<Where>(
      name, false, [allowed](int64_t, int64_t, int64_t i, int64_t j) { return allowed(i, j); }));
}

AttentionPattern AttentionPattern::where(
    const std::string& name,
    const std::function<bool(int64_t, int64_t, int64_t, int64_t)>& allowed) {
  return AttentionPattern(std::make_shared<Where>(name, true, allowed));
}

}  // namespace heed
