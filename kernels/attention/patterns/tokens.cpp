// Patterns given by data about single tokens: segment ids, lengths, lifetimes of keys.
#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "kernels/attention/pattern.h"

namespace heed {
namespace {

template <class T>
std::string fingerprint_of(const std::vector<T>& values) {
  return fingerprint(values.data(), values.size() * sizeof(T));
}

void bounds(TileTokens tokens, const int32_t* of, int32_t* out) {
  out[0] = INT32_MAX, out[1] = INT32_MIN;
  for (const int32_t t : tokens) out[0] = std::min(out[0], of[t]), out[1] = std::max(out[1], of[t]);
}

/// Pairs with equal ids.
class Segments : public PatternRule {
 public:
  Segments(std::vector<int32_t> query_ids, std::vector<int32_t> key_ids, int64_t batch)
      : batch_(batch),
        queries_(std::move(query_ids)),
        keys_(std::move(key_ids)),
        text_(fmt::format("segments({}: {}, {})", batch_, fingerprint_of(queries_),
                          fingerprint_of(keys_))) {}

  bool allowed(int64_t b, int64_t, int64_t i, int64_t j) const override {
    return ids(queries_, b)[i] == ids(keys_, b)[j];
  }
  void check(const PatternExtents& e) const override {
    const auto nq = static_cast<int64_t>(queries_.size()), nk = static_cast<int64_t>(keys_.size());
    HEED_CHECK(
        (batch_ == 1 || batch_ == e.batch) && nq == batch_ * e.queries && nk == batch_ * e.keys,
        "attention: segment ids of {} queries and {} keys in batch {}, for batch {} of {} "
        "queries and {} keys",
        nq, nk, batch_, e.batch, e.queries, e.keys);
  }
  std::string text() const override { return text_; }
  bool varies_by_batch() const override { return batch_ > 1; }
  int words() const override { return 2; }
  void summarise_queries(int64_t b, int64_t, TileTokens t, int32_t* out) const override {
    bounds(t, ids(queries_, b), out);
  }
  void summarise_keys(int64_t b, int64_t, TileTokens t, int32_t* out) const override {
    bounds(t, ids(keys_, b), out);
  }
  TileKind classify(const int32_t* q, const int32_t* k) const override {
    if (q[1] < k[0] || q[0] > k[1]) return TileKind::empty;
    return q[0] == q[1] && k[0] == k[1] ? TileKind::full : TileKind::partial;
  }
  void mark(int64_t b, int64_t, TileTokens queries, TileTokens keys,
            TileBits& bits) const override {
    const int32_t *of_query = ids(queries_, b), *of_key = ids(keys_, b);
    for (size_t k = 0; k < keys.size(); ++k)
      for (size_t q = 0; q < queries.size(); ++q)
        bits[k] |= static_cast<uint64_t>(of_query[queries[q]] == of_key[keys[k]]) << q;
  }

 private:
  const int32_t* ids(const std::vector<int32_t>& all, int64_t b) const {
    return all.data() + (batch_ == 1 ? 0 : b * static_cast<int64_t>(all.size()) / batch_);
  }

  int64_t batch_;
  std::vector<int32_t> queries_, keys_;
  std::string text_;
};

/// The first so many queries and keys of each row.
class Lengths : public PatternRule {
 public:
  Lengths(std::vector<int64_t> queries, std::vector<int64_t> keys)
      : queries_(std::move(queries)), keys_(std::move(keys)) {}

  bool allowed(int64_t b, int64_t, int64_t i, int64_t j) const override {
    return i < queries_[static_cast<size_t>(b)] && j < keys_[static_cast<size_t>(b)];
  }
  void check(const PatternExtents& e) const override {
    HEED_CHECK(static_cast<int64_t>(queries_.size()) == e.batch && keys_.size() == queries_.size(),
               "attention: {} query and {} key lengths for batch {}", queries_.size(), keys_.size(),
               e.batch);
  }
  std::string text() const override {
    return fmt::format("lengths({}, {})", fingerprint_of(queries_), fingerprint_of(keys_));
  }
  bool varies_by_batch() const override { return true; }
  int words() const override { return 2; }  // does any of the tile count, do all
  void summarise_queries(int64_t b, int64_t, TileTokens t, int32_t* out) const override {
    summarise(queries_[static_cast<size_t>(b)], t, out);
  }
  void summarise_keys(int64_t b, int64_t, TileTokens t, int32_t* out) const override {
    summarise(keys_[static_cast<size_t>(b)], t, out);
  }
  TileKind classify(const int32_t* q, const int32_t* k) const override {
    if (!q[0] || !k[0]) return TileKind::empty;
    return q[1] && k[1] ? TileKind::full : TileKind::partial;
  }

 private:
  static void summarise(int64_t length, TileTokens t, int32_t* out) {
    const auto [lo, hi] = std::minmax_element(t.begin(), t.end());
    out[0] = *lo < length, out[1] = *hi < length;
  }

  std::vector<int64_t> queries_, keys_;
};

/// first[j] <= i < last[j].
class Lifetimes : public PatternRule {
 public:
  Lifetimes(std::vector<int32_t> first, std::vector<int32_t> last, int64_t batch, int64_t heads,
            int64_t keys)
      : first_(std::move(first)),
        last_(std::move(last)),
        batch_(batch),
        heads_(heads),
        keys_(keys),
        text_(fmt::format("lifetimes({}x{}x{}: {}, {})", batch, heads, keys, fingerprint_of(first_),
                          fingerprint_of(last_))) {}

  bool allowed(int64_t b, int64_t h, int64_t i, int64_t j) const override {
    const size_t at = row(b, h) + static_cast<size_t>(j);
    return first_[at] <= i && i < last_[at];
  }
  void check(const PatternExtents& e) const override {
    HEED_CHECK(
        e.keys == keys_ && (batch_ == 1 || batch_ == e.batch) && (heads_ == 1 || heads_ == e.heads),
        "attention: lifetimes [{}, {}, {}] for batch {}, {} heads, {} keys", batch_, heads_, keys_,
        e.batch, e.heads, e.keys);
  }
  std::string text() const override { return text_; }
  bool varies_by_batch() const override { return batch_ > 1; }
  bool varies_by_head() const override { return heads_ > 1; }
  int words() const override { return 4; }
  void summarise_queries(int64_t, int64_t, TileTokens t, int32_t* out) const override {
    const auto [lo, hi] = std::minmax_element(t.begin(), t.end());
    out[0] = *lo, out[1] = *hi;
  }
  void summarise_keys(int64_t b, int64_t h, TileTokens t, int32_t* out) const override {
    bounds(t, first_.data() + row(b, h), out);
    bounds(t, last_.data() + row(b, h), out + 2);
  }
  TileKind classify(const int32_t* q, const int32_t* k) const override {
    if (k[0] > q[1] || k[3] <= q[0]) return TileKind::empty;
    return k[1] <= q[0] && k[2] > q[1] ? TileKind::full : TileKind::partial;
  }
  void mark(int64_t b, int64_t h, TileTokens queries, TileTokens keys,
            TileBits& bits) const override {
    for (size_t k = 0; k < keys.size(); ++k) {
      const size_t at = row(b, h) + static_cast<size_t>(keys[k]);
      const int32_t from = first_[at], to = last_[at];
      for (size_t q = 0; q < queries.size(); ++q)
        bits[k] |= static_cast<uint64_t>(from <= queries[q] && queries[q] < to) << q;
    }
  }

 private:
  size_t row(int64_t b, int64_t h) const {
    return static_cast<size_t>(((batch_ > 1 ? b : 0) * heads_ + (heads_ > 1 ? h : 0)) * keys_);
  }

  std::vector<int32_t> first_, last_;
  int64_t batch_, heads_, keys_;
  std::string text_;
};

}  // namespace

AttentionPattern AttentionPattern::segments(const std::vector<int32_t>& query_ids,
                                            const std::vector<int32_t>& key_ids, int64_t batch) {
  return AttentionPattern(std::make_shared<Segments>(query_ids, key_ids, batch));
}

AttentionPattern AttentionPattern::lengths(const std::vector<int64_t>& queries,
                                           const std::vector<int64_t>& keys) {
  return AttentionPattern(std::make_shared<Lengths>(queries, keys));
}

AttentionPattern AttentionPattern::lifetimes(const std::vector<int32_t>& first,
                                             const std::vector<int32_t>& last, int64_t batch,
                                             int64_t heads, int64_t keys) {
  const auto count = static_cast<size_t>(batch * heads * keys);
  HEED_CHECK(first.size() == count && last.size() == count,
             "attention: {} and {} lifetimes for [{}, {}, {}]", first.size(), last.size(), batch,
             heads, keys);
  return AttentionPattern(std::make_shared<Lifetimes>(first, last, batch, heads, keys));
}

}  // namespace heed
