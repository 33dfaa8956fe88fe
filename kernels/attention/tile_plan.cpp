#include "kernels/attention/tile_plan.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <list>
#include <mutex>
#include <numeric>
#include <unordered_map>

#include "core/error.h"
#include "core/parallel.h"

namespace heed::kernels::attn {
namespace {

constexpr int64_t kSide = kTileSide;

int64_t tiles_of(int64_t tokens) { return (tokens + kSide - 1) / kSide; }

/// Which units hold pairs, and rectangles over them: rows of units with equal runs of lanes merge.
void outline(TileMask& mask) {
  uint8_t rows[4] = {};
  for (int r = 0; r < 4; ++r) {
    uint64_t word = 0;
    for (int k = 0; k < kTileUnit; ++k) word |= mask.bits[static_cast<size_t>(r * kTileUnit + k)];
    for (int l = 0; l < 4; ++l)
      if ((word >> (l * kTileUnit)) & 0xFFFF) rows[r] = static_cast<uint8_t>(rows[r] | 1u << l);
    mask.active = static_cast<uint16_t>(mask.active | rows[r] << (4 * r));
  }
  for (int r = 0; r < 4;) {
    int end = r + 1;
    while (end < 4 && rows[end] == rows[r]) ++end;
    for (int l = 0; l < 4;) {
      if (!((rows[r] >> l) & 1)) {
        ++l;
        continue;
      }
      int stop = l + 1;
      while (stop < 4 && ((rows[r] >> stop) & 1)) ++stop;
      mask.rects[mask.rect_count++] = {static_cast<uint8_t>(r), static_cast<uint8_t>(end - r),
                                       static_cast<uint8_t>(l), static_cast<uint8_t>(stop - l)};
      l = stop;
    }
    r = end;
  }
}

struct BitsHash {
  size_t operator()(const TileBits& bits) const {
    uint64_t h = 0;
    for (const uint64_t word : bits) h = (std::rotl(h, 5) ^ word) * 0x9e3779b97f4a7c15u;
    return static_cast<size_t>(h ^ (h >> 29));
  }
};

std::vector<int32_t> inverse(const std::vector<int32_t>& order) {
  std::vector<int32_t> slots(order.size());
  for (size_t s = 0; s < order.size(); ++s)
    slots[static_cast<size_t>(order[s])] = static_cast<int32_t>(s);
  return slots;
}

std::vector<int32_t> or_identity(const std::vector<int32_t>& order, int64_t n) {
  if (!order.empty()) return order;
  std::vector<int32_t> identity(static_cast<size_t>(n));
  std::iota(identity.begin(), identity.end(), 0);
  return identity;
}

TileTokens tile_tokens(const std::vector<int32_t>& order, int64_t tile) {
  const auto first = static_cast<size_t>(tile * kSide);
  return TileTokens(order).subspan(first, std::min<size_t>(kTileSide, order.size() - first));
}

/// The runs of one block of queries, and the bits of its partial tiles in their order.
struct BlockTiles {
  std::vector<TileRun> runs;
  std::vector<TileBits> partial;
};

BlockTiles tiles_of_block(const PatternRule& rule, int64_t b, int64_t h, TileTokens queries,
                          const std::vector<int32_t>& keys, const std::vector<int32_t>& summaries) {
  const int words = rule.words();
  std::vector<int32_t> of_queries(static_cast<size_t>(words));
  rule.summarise_queries(b, h, queries, of_queries.data());
  BlockTiles result;
  const auto add_full = [&](int32_t t) {
    if (!result.runs.empty() && result.runs.back().mask < 0 && result.runs.back().last == t)
      ++result.runs.back().last;
    else
      result.runs.push_back({t, t + 1, -1});
  };
  const uint64_t everyone = ~uint64_t{0} >> (kSide - static_cast<int64_t>(queries.size()));
  for (int32_t t = 0; t < tiles_of(static_cast<int64_t>(keys.size())); ++t) {
    const TileKind kind = rule.classify(of_queries.data(), summaries.data() + t * words);
    if (kind == TileKind::empty) continue;
    if (kind == TileKind::full) {
      add_full(t);
      continue;
    }
    const TileTokens own = tile_tokens(keys, t);
    TileBits bits{};
    rule.mark(b, h, queries, own, bits);
    uint64_t any = 0, all = everyone;
    for (size_t k = 0; k < own.size(); ++k) any |= bits[k], all &= bits[k];
    if (any == 0) continue;
    if (all == everyone) {
      add_full(t);
      continue;
    }
    result.runs.push_back({t, t + 1, static_cast<int32_t>(result.partial.size())});
    result.partial.push_back(bits);
  }
  return result;
}

}  // namespace

TilePlan::TilePlan(const AttentionPattern& pattern, const PatternExtents& extents)
    : blocks_(tiles_of(extents.queries)) {
  if (pattern.is_dense() || extents.keys == 0)
    build_dense(extents);
  else
    build(*pattern.rule(), extents);
}

void TilePlan::build_dense(const PatternExtents& e) {
  const int64_t tiles = tiles_of(e.keys);
  starts_.push_back(0);
  for (int64_t block = 0; block < blocks_; ++block) {
    if (tiles > 0) runs_.push_back({0, static_cast<int32_t>(tiles), -1});
    starts_.push_back(static_cast<int64_t>(runs_.size()));
    costs_.push_back(8 + 16 * tiles);
  }
  pairs_ = e.batch * e.heads * e.queries * e.keys;
  full_tiles_ = e.batch * e.heads * blocks_ * tiles;
}

void TilePlan::build(const PatternRule& rule, const PatternExtents& e) {
  rule.check(e);
  const int64_t batches = rule.varies_by_batch() ? e.batch : 1;
  const int64_t heads = rule.varies_by_head() ? e.heads : 1;
  head_step_ = heads > 1 ? 1 : 0;
  batch_step_ = batches > 1 ? heads : 0;
  query_order_ = rule.query_order(e.queries), key_order_ = rule.key_order(e.keys);
  query_slots_ = inverse(query_order_), key_slots_ = inverse(key_order_);
  const std::vector<int32_t> queries = or_identity(query_order_, e.queries),
                             keys = or_identity(key_order_, e.keys);
  const int64_t tiles = tiles_of(e.keys), repeated = e.batch * e.heads / (batches * heads);
  std::unordered_map<TileBits, int32_t, BitsHash> known;
  starts_.push_back(0);
  for (int64_t v = 0; v < batches * heads; ++v) {
    const int64_t b = v / heads, h = v % heads;
    std::vector<int32_t> summaries(static_cast<size_t>(tiles * rule.words()));
    for (int64_t t = 0; t < tiles; ++t)
      rule.summarise_keys(b, h, tile_tokens(keys, t), summaries.data() + t * rule.words());
    std::vector<BlockTiles> found(static_cast<size_t>(blocks_));
    parallel_for(blocks_, 4, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block)
        found[static_cast<size_t>(block)] =
            tiles_of_block(rule, b, h, tile_tokens(queries, block), keys, summaries);
    });
    for (int64_t block = 0; block < blocks_; ++block) {
      const auto rows = static_cast<int64_t>(tile_tokens(queries, block).size());
      int64_t cost = 8;
      for (TileRun run : found[static_cast<size_t>(block)].runs) {
        if (run.mask < 0) {
          const int64_t end = std::min<int64_t>(run.last * kSide, e.keys);
          pairs_ += repeated * rows * (end - run.first * kSide);
          full_tiles_ += repeated * (run.last - run.first);
          cost += 16 * (run.last - run.first);
        } else {
          const TileBits& bits =
              found[static_cast<size_t>(block)].partial[static_cast<size_t>(run.mask)];
          const auto [at, fresh] = known.try_emplace(bits, static_cast<int32_t>(masks_.size()));
          if (fresh) {
            masks_.push_back({bits});
            outline(masks_.back());
          }
          run.mask = at->second;
          for (const uint64_t word : bits) pairs_ += repeated * std::popcount(word);
          ++partial_tiles_;
          cost += 1 + std::popcount(mask(run.mask).active);
        }
        runs_.push_back(run);
      }
      starts_.push_back(static_cast<int64_t>(runs_.size()));
      costs_.push_back(cost);
    }
  }
  partial_tiles_ *= repeated;
}

int64_t TilePlan::bytes() const {
  return static_cast<int64_t>(runs_.size() * sizeof(TileRun) + starts_.size() * 16 +
                              masks_.size() * sizeof(TileMask) +
                              (query_order_.size() + key_order_.size()) * 8);
}

namespace {

/// The plans used last, up to a number of bytes.
class PlanCache {
 public:
  std::shared_ptr<const TilePlan> find(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return found->second->plan;
  }

  void add(const std::string& key, std::shared_ptr<const TilePlan> plan) {
    const std::lock_guard lock(mutex_);
    if (index_.count(key) > 0) return;
    bytes_ += plan->bytes();
    entries_.push_front({key, std::move(plan)});
    index_[key] = entries_.begin();
    while (entries_.size() > 1 && (bytes_ > kMostBytes || entries_.size() > kMostEntries)) {
      bytes_ -= entries_.back().plan->bytes();
      index_.erase(entries_.back().key);
      entries_.pop_back();
    }
  }

 private:
  static constexpr int64_t kMostBytes = int64_t{64} << 20;
  static constexpr size_t kMostEntries = 64;
  struct Entry {
    std::string key;
    std::shared_ptr<const TilePlan> plan;
  };
  std::mutex mutex_;
  std::list<Entry> entries_;
  std::unordered_map<std::string, std::list<Entry>::iterator> index_;
  int64_t bytes_ = 0;
};

}  // namespace

std::shared_ptr<const TilePlan> tile_plan(const AttentionPattern& pattern,
                                          const PatternExtents& e) {
  static PlanCache cache;
  std::string key = fmt::format("{} {} {} {} ", e.batch, e.heads, e.queries, e.keys);
  key += pattern.text();
  if (auto plan = cache.find(key)) return plan;
  auto plan = std::make_shared<const TilePlan>(pattern, e);
  // A step of decoding has extents of its own.
  if (e.queries > 4) cache.add(key, plan);
  return plan;
}

}  // namespace heed::kernels::attn
