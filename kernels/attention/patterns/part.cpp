// Part of a larger pattern: some of its queries and keys, at equal distances, and of its heads.
#include <fmt/format.h>

#include "core/error.h"
#include "kernels/attention/pattern.h"

namespace heed {
namespace {

/// Rules take any tokens of theirs for a tile, so that what they say of a tile holds for a part's
/// as well: exactly where its tokens are neighbours, and else as far as they can be sure.
class Part : public PatternRule {
 public:
  Part(std::shared_ptr<const PatternRule> whole, const AttentionPart& part)
      : whole_(std::move(whole)), part_(part) {}

  bool allowed(int64_t b, int64_t h, int64_t i, int64_t j) const override {
    return whole_->allowed(b, h + part_.first_head, part_.queries[i], part_.keys[j]);
  }
  void check(const PatternExtents& e) const override {
    HEED_CHECK(e.queries == part_.queries.count && e.keys == part_.keys.count,
               "attention: a part of {} queries and {} keys, for {} and {}", part_.queries.count,
               part_.keys.count, e.queries, e.keys);
    const int64_t heads = part_.whole_heads == 0 ? e.heads : part_.whole_heads;
    HEED_CHECK(part_.first_head >= 0 && part_.first_head + e.heads <= heads,
               "attention: a part of {} heads from {}, of {}", e.heads, part_.first_head, heads);
    whole_->check({e.batch, heads, part_.whole_queries, part_.whole_keys});
  }
  std::string text() const override {
    const TokenRun &q = part_.queries, &k = part_.keys;
    return fmt::format("part({} + {} x {} of {}, {} + {} x {} of {}, {} of {} heads: {})", q.first,
                       q.step, q.count, part_.whole_queries, k.first, k.step, k.count,
                       part_.whole_keys, part_.first_head, part_.whole_heads, whole_->text());
  }
  bool varies_by_batch() const override { return whole_->varies_by_batch(); }
  bool varies_by_head() const override { return whole_->varies_by_head(); }

  int words() const override { return whole_->words(); }
  void summarise_queries(int64_t b, int64_t h, TileTokens t, int32_t* out) const override {
    whole_->summarise_queries(b, h + part_.first_head, in_whole(t, part_.queries), out);
  }
  void summarise_keys(int64_t b, int64_t h, TileTokens t, int32_t* out) const override {
    whole_->summarise_keys(b, h + part_.first_head, in_whole(t, part_.keys), out);
  }
  TileKind classify(const int32_t* q, const int32_t* k) const override {
    return whole_->classify(q, k);
  }
  void mark(int64_t b, int64_t h, TileTokens queries, TileTokens keys,
            TileBits& bits) const override {
    whole_->mark(b, h + part_.first_head, in_whole(queries, part_.queries),
                 in_whole(keys, part_.keys), bits);
  }

  // All tokens lie as in the whole.
  std::vector<int32_t> query_order(int64_t n) const override {
    return is_all(part_.queries, part_.whole_queries) ? whole_->query_order(n)
                                                      : PatternRule::query_order(n);
  }
  std::vector<int32_t> key_order(int64_t n) const override {
    return is_all(part_.keys, part_.whole_keys) ? whole_->key_order(n) : PatternRule::key_order(n);
  }

  int64_t virtual_keys(int64_t i) const override {
    return has_virtual_keys() ? whole_->virtual_keys(part_.queries[i]) : 0;
  }
  bool has_virtual_keys() const override {
    return part_.keys.count == 0 && whole_->has_virtual_keys();
  }

 private:
  static bool is_all(const TokenRun& run, int64_t tokens) {
    return run.first == 0 && run.step == 1 && run.count == tokens;
  }
  static std::vector<int32_t> in_whole(TileTokens tokens, const TokenRun& run) {
    std::vector<int32_t> places;
    places.reserve(tokens.size());
    for (const int32_t token : tokens) places.push_back(static_cast<int32_t>(run[token]));
    return places;
  }

  std::shared_ptr<const PatternRule> whole_;
  AttentionPart part_;
};

void check_run(const TokenRun& run, int64_t tokens) {
  HEED_CHECK(run.count >= 0 && run.step >= 1 &&
                 (run.count == 0 || (run.first >= 0 && run[run.count - 1] < tokens)),
             "attention: a part of {} tokens from {} in steps of {}, of {}", run.count, run.first,
             run.step, tokens);
}

}  // namespace

AttentionPattern AttentionPattern::part(const AttentionPattern& whole, const AttentionPart& part) {
  check_run(part.queries, part.whole_queries);
  check_run(part.keys, part.whole_keys);
  if (whole.is_dense()) return dense();
  return AttentionPattern(std::make_shared<Part>(whole.rule(), part));
}

}  // namespace heed
