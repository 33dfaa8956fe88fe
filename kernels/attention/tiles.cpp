#include "kernels/attention/tiles.h"

namespace heed::kernels::attn {
namespace {

/// The tiles of keys that some block of the task sees.
void find_tiles(Task& task, const Extents& e, const TilePlan& plan) {
  task.first_tile = INT32_MAX, task.last_tile = 0;
  for (int64_t i = task.begin; i < task.end; ++i) {
    const QueryBlock block(e, task.kv_head, i);
    const auto runs = plan.runs(task.b, block.head, block.index);
    if (runs.empty()) continue;
    task.first_tile = std::min<int64_t>(task.first_tile, runs.front().first);
    task.last_tile = std::max<int64_t>(task.last_tile, runs.back().last);
  }
  task.first_tile = std::min(task.first_tile, task.last_tile);
}

}  // namespace

bool has_pair_products() {
#if defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("avx512bf16") != 0;
  return has;
#else
  return false;
#endif
}

Tasks::Tasks(const Extents& e, const TilePlan& plan, int64_t wanted, int64_t least) {
  const int64_t pairs = e.batch * e.kv_heads, blocks = e.group() * blocks_per_head(e);
  slices = std::clamp<int64_t>(pairs == 0 ? 1 : (wanted + pairs - 1) / pairs, 1,
                               std::max<int64_t>(1, blocks / least));
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const int64_t b = pair / e.kv_heads, kv_head = pair % e.kv_heads;
    const auto cost = [&](int64_t i) {
      const QueryBlock block(e, kv_head, i);
      return plan.cost(b, block.head, block.index);
    };
    int64_t total = 0, done = 0, next = 0;
    for (int64_t i = 0; slices > 1 && i < blocks; ++i) total += cost(i);
    for (int64_t s = 0; s < slices; ++s) {
      Task task{b, kv_head, next, blocks};
      if (s + 1 < slices) {
        while (next < blocks && done < total * (s + 1) / slices) done += cost(next++);
        task.end = next;
      }
      find_tiles(task, e, plan);
      list.push_back(task);
    }
  }
}

}  // namespace heed::kernels::attn
