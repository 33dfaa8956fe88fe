// Which (query, key) pairs exist in an attention: a small value that composes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/attention/patterns/rule.h"

namespace heed {

/// One axis of a neighborhood (FNA, arXiv 2403.04690; GNA, arXiv 2504.16922).
struct NeighborhoodAxis {
  int64_t length = 0;    ///< tokens along the axis
  int64_t window = 0;    ///< keys that a query sees along it
  int64_t dilation = 1;  ///< distance between neighbouring keys of a window
  int64_t stride = 1;    ///< neighbouring queries that share one window
  bool causal = false;
};

/// One axis of query blocks with a halo (HaloNet, arXiv 2103.12731).
struct HaloAxis {
  int64_t length = 0;  ///< keys along the axis
  int64_t block = 0;   ///< keys along a block
  int64_t halo = 0;    ///< keys that a block sees beyond itself on either side
  int64_t stride = 1;  ///< of the queries: one for every `stride` keys
};

/// What a window that crosses the border of the grid does there.
enum class Border {
  crop,          ///< loses the keys beyond it
  shift,         ///< is shifted inwards
  virtual_keys,  ///< keeps them as keys with logit 0 and value 0
};

/// The keys start, start + step, ... below end that one query sees along an axis.
struct AxisKeys {
  int32_t start = 0, end = 0, step = 1;
  int32_t beyond = 0;  ///< virtual keys beyond the border
};

/// One axis of a separable pattern: a query sees a key when it does on every axis.
struct SeparableAxis {
  int64_t keys = 0;            ///< along the axis
  std::vector<AxisKeys> sees;  ///< by the query's coordinate
  int64_t cell = 1;            ///< keys of a dense cell (reordering), where cells do not overlap
  int64_t dilation = 1;        ///< common step (reordering)
};

/// The tokens first, first + step, ... of a sequence, `count` of them.
struct TokenRun {
  int64_t first = 0, step = 1, count = 0;
  /// Token i of the run.
  int64_t operator[](int64_t i) const { return first + i * step; }
  bool operator==(const TokenRun&) const = default;
};

/// Some queries and some keys of a larger attention.
struct AttentionPart {
  TokenRun queries = {}, keys = {};
  int64_t whole_queries = 0, whole_keys = 0;  ///< tokens of the larger one
  int64_t first_head = 0;                     ///< its head that is head 0 here
  int64_t whole_heads = 0;                    ///< its heads; 0: as many as here
};

/// Concatenated keys: each region has its own pattern, which counts keys from the region's first.
struct KeyRegion;

class AttentionPattern {
 public:
  /// Every query sees every key.
  AttentionPattern() = default;
  explicit AttentionPattern(std::shared_ptr<const PatternRule> rule, int64_t offset = 0)
      : query_offset(offset), rule_(std::move(rule)) {}

  static AttentionPattern dense() { return {}; }
  /// j <= i + query_offset (decoding with a cache).
  static AttentionPattern causal(int64_t query_offset = 0);
  /// -left <= j - (i + query_offset) <= right.
  static AttentionPattern window(int64_t left, int64_t right, int64_t query_offset = 0);
  /// Keys j < count.
  static AttentionPattern prefix(int64_t count);
  /// Queries i < count see all keys.
  static AttentionPattern global_queries(int64_t count);

  /// 1 to 3 axes, row-major; windows are shifted inwards at borders, never cut.
  static AttentionPattern neighborhood(const std::vector<NeighborhoodAxis>& axes);
  /// Windows side by side; with a shift the first of an axis ends after `shift` tokens.
  static AttentionPattern windows(const std::vector<int64_t>& grid,
                                  const std::vector<int64_t>& window,
                                  const std::vector<int64_t>& shift = {});
  static AttentionPattern halo(const std::vector<HaloAxis>& axes, Border border);
  static AttentionPattern separable(const std::vector<SeparableAxis>& axes,
                                    const std::string& name);

  /// i and j with equal ids, [batch or 1, tokens] (documents packed into a row).
  static AttentionPattern segments(const std::vector<int32_t>& query_ids,
                                   const std::vector<int32_t>& key_ids, int64_t batch = 1);
  static AttentionPattern segments(const std::vector<int32_t>& ids, int64_t batch = 1) {
    return segments(ids, ids, batch);
  }
  /// The first queries[b] queries see the first keys[b] keys.
  static AttentionPattern lengths(const std::vector<int64_t>& queries,
                                  const std::vector<int64_t>& keys);
  static AttentionPattern lengths(const std::vector<int64_t>& both) { return lengths(both, both); }
  /// Key j lives for the queries first[j] <= i < last[j] (Dynamic mask attention, arXiv
  /// 2508.02124); values [batch or 1, heads or 1, keys], row-major.
  static AttentionPattern lifetimes(const std::vector<int32_t>& first,
                                    const std::vector<int32_t>& last, int64_t batch, int64_t heads,
                                    int64_t keys);
  /// Blocks of `block` tokens: sees[((b or 0) * heads + (h or 0)) * Nq + query block] lists the key
  /// blocks, with Nq = ceil(queries / block).
  static AttentionPattern blocks(int64_t block, const std::vector<std::vector<int32_t>>& sees,
                                 int64_t batch = 1, int64_t heads = 1);
  /// The same from a rule on (query block, key block), for N tokens.
  static AttentionPattern blocks(int64_t block, int64_t queries, int64_t keys,
                                 const std::function<bool(int64_t, int64_t)>& sees);
  /// ids [batch or 1, heads or 1, queries, count], row-major: the keys of each query; -1 is none.
  static AttentionPattern indices(const std::vector<int32_t>& ids, int64_t batch, int64_t heads,
                                  int64_t queries, int64_t count);
  static AttentionPattern regions(const std::vector<KeyRegion>& regions);
  /// The first `count` tokens see all others and are seen by all; the tokens behind them follow
  /// `rest`, which counts from the first of these (a class token before a map).
  static AttentionPattern globals(int64_t count, const AttentionPattern& rest);
  /// One pattern for each query head.
  static AttentionPattern per_head(const std::vector<AttentionPattern>& heads);
  /// What some queries and keys of a larger attention see of each other; both count from 0. Virtual
  /// keys belong to the part without keys, so that the parts of a row hold them once.
  static AttentionPattern part(const AttentionPattern& whole, const AttentionPart& part);
  /// Any pure function of (query, key), or of (batch, head, query, key); `name` must tell different
  /// ones apart.
  static AttentionPattern where(const std::string& name,
                                const std::function<bool(int64_t, int64_t)>& allowed);
  static AttentionPattern where(
      const std::string& name,
      const std::function<bool(int64_t, int64_t, int64_t, int64_t)>& allowed);

  /// Pairs in either, or in both.
  friend AttentionPattern operator|(const AttentionPattern& a, const AttentionPattern& b);
  friend AttentionPattern operator&(const AttentionPattern& a, const AttentionPattern& b);

  bool is_dense() const { return rule_ == nullptr; }
  const std::shared_ptr<const PatternRule>& rule() const { return rule_; }
  bool allowed(int64_t b, int64_t h, int64_t i, int64_t j) const {
    return rule_ == nullptr || rule_->allowed(b, h, i, j);
  }
  std::string text() const { return rule_ == nullptr ? "dense" : rule_->text(); }

  /// Position of query 0 among the keys, which relative scores count from.
  int64_t query_offset = 0;

 private:
  std::shared_ptr<const PatternRule> rule_;
};

struct KeyRegion {
  int64_t keys = 0;
  AttentionPattern pattern = {};
};

/// Lines of `#` (pair) and `.` for one (batch, head), at most `width` characters across: each
/// stands for a square of pairs, `+` where it holds some but not all of them.
std::string picture(const AttentionPattern& pattern, const PatternExtents& extents, int64_t b = 0,
                    int64_t h = 0, int64_t width = 64);

}  // namespace heed
