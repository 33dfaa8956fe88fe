#include "kernels/attention/cuda/device_plan.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <numeric>
#include <set>

#include "kernels/device_bytes.h"

namespace heed::kernels::attn {
namespace {

constexpr int kSide = kTileSide;
static_assert(kSide == kDeviceTile);

/// What was uploaded last, by key.
template <class Key, class Value>
class Uploads {
 public:
  template <class Make>
  const Value& find(const Key& key, Device device, const Make& make) {
    const std::lock_guard lock(mutex_);
    for (auto at = entries_.begin(); at != entries_.end(); ++at) {
      if (at->key == key && at->device == device) {
        entries_.splice(entries_.begin(), entries_, at);
        return entries_.front().value;
      }
    }
    if (entries_.size() >= kMost) entries_.pop_back();
    entries_.push_front({key, device, make()});
    return entries_.front().value;
  }

 private:
  static constexpr size_t kMost = 64;
  struct Entry {
    Key key;
    Device device;
    Value value;
  };
  std::mutex mutex_;
  std::list<Entry> entries_;
};

/// Tensors that are kept, and views of them.
class Kept {
 public:
  explicit Kept(Device device) : device_(device) {}
  template <class T>
  const T* add(std::span<const T> values) {
    if (values.empty()) return nullptr;
    tensors_.push_back(device_bytes(values, device_));
    return reinterpret_cast<const T*>(tensors_.back().raw());
  }

 private:
  Device device_;
  std::vector<Tensor> tensors_;
};

struct UploadedPlan {
  Kept kept;
  DevicePlan plan;
};

TileBits transposed(const TileBits& bits) {
  TileBits result{};
  for (size_t k = 0; k < kSide; ++k)
    for (size_t q = 0; q < kSide; ++q) result[q] |= (bits[k] >> q & 1) << k;
  return result;
}

uint16_t transposed(uint16_t active) {
  unsigned result = 0;
  for (unsigned i = 0; i < 16; ++i) result |= (active >> i & 1u) << (i % 4 * 4 + i / 4);
  return static_cast<uint16_t>(result);
}

/// The runs of a line, with equal full neighbours joined.
void append(std::vector<DeviceRun>& runs, int32_t tile, int32_t mask) {
  if (mask < 0 && !runs.empty() && runs.back().mask < 0 && runs.back().last == tile)
    ++runs.back().last;
  else
    runs.push_back({tile, tile + 1, mask});
}

/// DevicePlan::Side::heaviest of a side with that many lines, over all variants.
std::vector<int32_t> heaviest_pairs(const std::vector<int32_t>& starts,
                                    const std::vector<DeviceRun>& runs, int32_t lines) {
  const auto pairs = static_cast<size_t>((lines + 1) / 2);
  std::vector<int64_t> cost(pairs, 0);
  std::set<int32_t> met;
  for (size_t at = 0; at + 1 < starts.size(); ++at) {
    const auto line = static_cast<int32_t>(at % static_cast<size_t>(lines));
    for (int32_t r = starts[at]; r < starts[at + 1]; ++r) {
      const DeviceRun& run = runs[static_cast<size_t>(r)];
      for (int32_t other = run.first; other < run.last; ++other) met.insert(other);
    }
    if (line % 2 == 0 && line + 1 < lines) continue;
    cost[static_cast<size_t>(line / 2)] += static_cast<int64_t>(met.size());
    met.clear();
  }
  std::vector<int32_t> order(pairs);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return cost[static_cast<size_t>(a)] > cost[static_cast<size_t>(b)];
  });
  return order;
}

UploadedPlan upload(const Problem& p, Device device) {
  UploadedPlan up{Kept(device), {}};
  DevicePlan& d = up.plan;
  const Extents& e = p.e;
  const PatternRule* rule = p.spec.pattern.is_dense() ? nullptr : p.spec.pattern.rule().get();
  const int64_t batches = rule && rule->varies_by_batch() && e.keys > 0 ? e.batch : 1;
  const int64_t heads = rule && rule->varies_by_head() && e.keys > 0 ? e.heads : 1;
  const auto blocks = static_cast<int32_t>(p.plan.blocks()),
             tiles = static_cast<int32_t>((e.keys + kSide - 1) / kSide);
  d.queries.lines = blocks, d.keys.lines = tiles;
  d.head_step = heads > 1 ? 1 : 0;
  d.batch_step = batches > 1 ? static_cast<int32_t>(heads) : 0;

  std::vector<int32_t> query_starts{0}, key_starts{0};
  std::vector<DeviceRun> query_runs, key_runs;
  int32_t masks = 0;
  for (int64_t variant = 0; variant < batches * heads; ++variant) {
    std::vector<std::vector<DeviceRun>> columns(static_cast<size_t>(tiles));
    for (int32_t block = 0; block < blocks; ++block) {
      for (const TileRun& run : p.plan.runs(variant / heads, variant % heads, block)) {
        query_runs.push_back({run.first, run.last, run.mask});
        masks = std::max(masks, run.mask + 1);
        for (int32_t t = run.first; t < run.last; ++t)
          append(columns[static_cast<size_t>(t)], block, run.mask);
      }
      query_starts.push_back(static_cast<int32_t>(query_runs.size()));
    }
    for (const auto& column : columns) {
      key_runs.insert(key_runs.end(), column.begin(), column.end());
      key_starts.push_back(static_cast<int32_t>(key_runs.size()));
    }
  }
  std::vector<uint64_t> by_query, by_key;
  std::vector<uint16_t> active_by_query, active_by_key;
  for (int32_t m = 0; m < masks; ++m) {
    const TileMask& mask = p.plan.mask(m);
    const TileBits turned = transposed(mask.bits);
    by_key.insert(by_key.end(), mask.bits.begin(), mask.bits.end());
    by_query.insert(by_query.end(), turned.begin(), turned.end());
    active_by_key.push_back(mask.active);
    active_by_query.push_back(transposed(mask.active));
  }
  const auto add = [&]<class T>(const std::vector<T>& values) {
    return up.kept.add(std::span<const T>(values));
  };
  const auto add_order = [&](const int32_t* order, int64_t n) {
    return order == nullptr ? nullptr : up.kept.add(std::span(order, static_cast<size_t>(n)));
  };
  d.queries.starts = add(query_starts), d.queries.runs = add(query_runs);
  d.queries.words = add(by_query), d.queries.active = add(active_by_query);
  d.queries.heaviest = add(heaviest_pairs(query_starts, query_runs, blocks));
  d.keys.heaviest = add(heaviest_pairs(key_starts, key_runs, tiles));
  d.queries.order = add_order(p.plan.query_order(), e.queries);
  d.keys.starts = add(key_starts), d.keys.runs = add(key_runs);
  d.keys.words = add(by_key), d.keys.active = add(active_by_key);
  d.keys.order = add_order(p.plan.key_order(), e.keys);
  if (p.has_virtual_keys()) {
    std::vector<float> logs;
    for (int64_t slot = 0; slot < e.queries; ++slot)
      logs.push_back(std::log(static_cast<float>(p.virtual_keys(p.plan.query_token(slot)))));
    d.virtual_log = add(logs);
  }
  return up;
}

struct UploadedIndex {
  Kept kept;
  FusedIndex index;
};

struct UploadedSlopes {
  Kept kept;
  const float* slopes;
};

}  // namespace

DevicePlan device_plan(const Problem& p, Device device) {
  static Uploads<std::shared_ptr<const TilePlan>, UploadedPlan> plans;
  return plans.find(p.shared_plan, device, [&] { return upload(p, device); }).plan;
}

FusedIndex device_index(const std::shared_ptr<const RelativeIndex>& index, int64_t entries,
                        Device device) {
  static Uploads<std::shared_ptr<const RelativeIndex>, UploadedIndex> indices;
  FusedIndex found = indices
                         .find(index, device,
                               [&] {
                                 UploadedIndex up{Kept(device), {}};
                                 const auto add = [&](const std::vector<int32_t>& values) {
                                   return up.kept.add(std::span<const int32_t>(values));
                                 };
                                 up.index.query = add(index->query);
                                 up.index.key = add(index->key);
                                 up.index.map = add(index->map);
                                 up.index.map_size = static_cast<int32_t>(index->map.size());
                                 return up;
                               })
                         .index;
  found.entries = static_cast<int32_t>(entries);
  return found;
}

const float* device_slopes(const AttentionScore& score, Device device) {
  if (score.alibi.empty()) return nullptr;
  static Uploads<std::vector<float>, UploadedSlopes> uploads;
  std::vector<float> slopes;
  for (const float slope : score.alibi)
    slopes.push_back(static_cast<float>(static_cast<double>(score.alibi_step) * slope));
  return uploads
      .find(slopes, device,
            [&] {
              UploadedSlopes up{Kept(device), nullptr};
              up.slopes = up.kept.add(std::span<const float>(slopes));
              return up;
            })
      .slopes;
}

}  // namespace heed::kernels::attn
