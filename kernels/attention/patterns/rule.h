// The interface of an attention pattern: which (query, key) pairs exist.
//
// A new pattern needs `allowed`, `check` and `text`; that alone gives it a fused kernel with
// gradients, a picture and its pair count. `summarise_*` and `classify` let the plan skip empty
// tiles without looking into them; `mark` fills a partial tile faster than pair by pair.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace heed {

/// The problem that a pattern is asked about.
struct PatternExtents {
  int64_t batch = 1, heads = 1, queries = 0, keys = 0;
  bool operator==(const PatternExtents&) const = default;
};

/// What a tile of pairs holds.
enum class TileKind { empty, partial, full };

inline constexpr int kTileSide = 64;  // queries, and keys, of a tile

/// A partial tile: bit q of word k says whether query q sees key k.
using TileBits = std::array<uint64_t, kTileSide>;

/// Queries or keys of a tile, by their token numbers (neighbours, unless the plan reorders tokens).
using TileTokens = std::span<const int32_t>;

class PatternRule {
 public:
  virtual ~PatternRule() = default;

  /// Whether query i of batch b, query head h sees key j; all within the extents.
  virtual bool allowed(int64_t b, int64_t h, int64_t i, int64_t j) const = 0;

  /// Throws unless the pattern is defined for the problem.
  virtual void check(const PatternExtents& extents) const = 0;

  /// Names the pattern and everything it depends on: rules of equal text allow equal pairs.
  virtual std::string text() const = 0;

  virtual bool varies_by_batch() const { return false; }
  virtual bool varies_by_head() const { return false; }

  /// Integers that sum up the queries, or the keys, of a tile for `classify`.
  virtual int words() const { return 0; }
  virtual void summarise_queries(int64_t, int64_t, TileTokens, int32_t*) const {}
  virtual void summarise_keys(int64_t, int64_t, TileTokens, int32_t*) const {}
  /// What a tile with these summaries holds; `partial` where that is not known.
  virtual TileKind classify(const int32_t*, const int32_t*) const { return TileKind::partial; }

  /// Sets the bits of the allowed pairs; `bits` come as zeros.
  virtual void mark(int64_t b, int64_t h, TileTokens queries, TileTokens keys,
                    TileBits& bits) const {
    for (size_t k = 0; k < keys.size(); ++k)
      for (size_t q = 0; q < queries.size(); ++q)
        if (allowed(b, h, queries[q], keys[k])) bits[k] |= uint64_t{1} << q;
  }

  /// The order of tokens in which the pattern's tiles are densest; empty: as they come.
  virtual std::vector<int32_t> query_order(int64_t) const { return {}; }
  virtual std::vector<int32_t> key_order(int64_t) const { return {}; }

  /// Keys beyond a border that take part in the softmax of query i with logit 0 and value 0.
  virtual int64_t virtual_keys(int64_t) const { return 0; }
  virtual bool has_virtual_keys() const { return false; }
};

/// 128 bits of hash, as text: names data in PatternRule::text.
std::string fingerprint(const void* data, size_t bytes);

}  // namespace heed
