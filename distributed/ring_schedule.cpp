#include "distributed/ring_schedule.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <numeric>

#include "core/error.h"
#include "kernels/attention/tile_plan.h"

namespace heed {
namespace {

std::vector<int32_t> tile_tokens(int64_t tile, int64_t tokens) {
  std::vector<int32_t> own(static_cast<size_t>(std::min<int64_t>(kTileSide, tokens - tile)));
  std::iota(own.begin(), own.end(), static_cast<int32_t>(tile));
  return own;
}

/// Whether a pattern has pairs, looking at no more tiles than it takes to find one.
bool has_pairs(const AttentionPattern& pattern, const PatternExtents& e) {
  if (e.queries == 0 || e.keys == 0) return false;
  if (pattern.is_dense()) return true;
  const PatternRule& rule = *pattern.rule();
  rule.check(e);
  const auto words = static_cast<size_t>(rule.words());
  for (int64_t b = 0; b < (rule.varies_by_batch() ? e.batch : 1); ++b) {
    for (int64_t h = 0; h < (rule.varies_by_head() ? e.heads : 1); ++h) {
      std::vector<std::vector<int32_t>> summaries;
      for (int64_t k = 0; k < e.keys; k += kTileSide) {
        summaries.emplace_back(words);
        rule.summarise_keys(b, h, tile_tokens(k, e.keys), summaries.back().data());
      }
      std::vector<int32_t> of_queries(words);
      for (int64_t q = 0; q < e.queries; q += kTileSide) {
        const std::vector<int32_t> queries = tile_tokens(q, e.queries);
        rule.summarise_queries(b, h, queries, of_queries.data());
        for (size_t k = 0; k < summaries.size(); ++k) {
          const TileKind kind = rule.classify(of_queries.data(), summaries[k].data());
          if (kind == TileKind::full) return true;
          if (kind == TileKind::empty) continue;
          TileBits bits{};
          rule.mark(b, h, queries, tile_tokens(static_cast<int64_t>(k) * kTileSide, e.keys), bits);
          if (std::any_of(bits.begin(), bits.end(), [](uint64_t word) { return word != 0; }))
            return true;
        }
      }
    }
  }
  return false;
}

/// Calls fn(pattern, extents) for the parts that a rank's runs of queries and a chunk's runs of
/// keys make, until it returns true; whether it did.
template <class Fn>
bool any_part(const AttentionPattern& pattern, const PatternExtents& whole, TokenLayout layout,
              int ranks, int rank, int chunk, const Fn& fn) {
  for (const TokenRun& queries : token_runs(layout, whole.queries, ranks, rank)) {
    for (const TokenRun& keys : token_runs(layout, whole.keys, ranks, chunk)) {
      const AttentionPart part{queries, keys, whole.queries, whole.keys};
      if (fn(AttentionPattern::part(pattern, part),
             PatternExtents{whole.batch, whole.heads, queries.count, keys.count}))
        return true;
    }
  }
  return false;
}

}  // namespace

RingSchedule::RingSchedule(const AttentionPattern& pattern, const PatternExtents& whole,
                           TokenLayout layout, int ranks)
    : ranks_(ranks) {
  for (int rank = 0; rank < ranks; ++rank)
    for (int chunk = 0; chunk < ranks; ++chunk)
      needs_.push_back(any_part(pattern, whole, layout, ranks, rank, chunk, has_pairs));
}

bool RingSchedule::holds(int rank, int step) const {
  const int own = chunk(rank, step);
  return step == 0 || step <= last_step(own);
}

bool RingSchedule::gathers(int rank, int step) const {
  const int own = chunk(rank, step);
  for (int t = 1; t <= step; ++t)
    if (needs((own + t) % ranks_, own)) return step <= last_step(own);
  return false;
}

int RingSchedule::last_step(int chunk) const {
  int step = ranks_ - 1;
  while (step > 0 && !needs((chunk + step) % ranks_, chunk)) --step;
  return step;
}

std::shared_ptr<const RingSchedule> ring_schedule(const AttentionPattern& pattern,
                                                  const PatternExtents& whole, TokenLayout layout,
                                                  int ranks) {
  // Patterns of documents are new in every batch: a few of them are kept.
  constexpr size_t kMost = 16;
  static std::mutex mutex;
  static std::list<std::pair<std::string, std::shared_ptr<const RingSchedule>>> known;
  const std::string key = fmt::format("{} {} {} {} {} {} {}", name_of(layout), ranks, whole.batch,
                                      whole.heads, whole.queries, whole.keys, pattern.text());
  const std::lock_guard lock(mutex);
  for (auto it = known.begin(); it != known.end(); ++it) {
    if (it->first != key) continue;
    known.splice(known.begin(), known, it);
    return it->second;
  }
  known.emplace_front(key, std::make_shared<const RingSchedule>(pattern, whole, layout, ranks));
  if (known.size() > kMost) known.pop_back();
  return known.front().second;
}

std::vector<RingWork> ring_work(const AttentionPattern& pattern, const PatternExtents& whole,
                                TokenLayout layout, int ranks, int rank) {
  std::vector<RingWork> work(static_cast<size_t>(ranks));
  for (int step = 0; step < ranks; ++step) {
    RingWork& sum = work[static_cast<size_t>(step)];
    any_part(pattern, whole, layout, ranks, rank, (rank + ranks - step) % ranks,
             [&](const AttentionPattern& part, const PatternExtents& extents) {
               const auto plan = kernels::attn::tile_plan(part, extents);
               sum.pairs += plan->pairs();
               sum.tiles += plan->full_tiles() + plan->partial_tiles();
               return false;
             });
  }
  return work;
}

}  // namespace heed
