// What happens to the product of a pair: the terms of AttentionScore and the dropout mask, for
// calls that have any. A flag for each term is read at run time: the same for all threads.
#pragma once

#include "kernels/attention/cuda/tile.h"
#include "kernels/cuda/functors.h"

namespace heed::kernels::cuda {

inline constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;

/// 2^x; 0 for -infinity, and for what is below the normal numbers.
__device__ inline float exp2_fast(float x) {
#if defined(HEED_CUDA_EMULATION)
  const float y = std::exp2(x);
  return y < 0x1p-126f ? 0.0f : y;
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

__device__ inline float infinity() { return __builtin_huge_valf(); }

/// Element (b, h, i, j).
__device__ inline float term_at(const attn::FusedTerm& t, int b, int h, int64_t i, int64_t j) {
  return t.data[b * t.b + h * t.h + i * t.i + j * t.j];
}

/// The entry that a pair looks up: RelativeIndex.
__device__ inline int entry_of(const attn::FusedIndex& x, int i, int j) {
  const auto clamped = [](int at, int size) { return at < 0 ? 0 : (at < size ? at : size - 1); };
  int at = x.key[j] - x.query[i];
  if (x.map != nullptr) at = x.map[clamped(at, x.map_size)];
  return clamped(at, x.entries);
}

/// The logit of what has no value in query i's row, in base 2: the sink and virtual keys.
__device__ inline float valueless_logit2(const attn::FusedCall& c, int b, int h, int slot) {
  const int i = token_of(c.plan.queries.order, slot);
  const float sink = c.score.sink.data != nullptr ? term_at(c.score.sink, b, h, i, 0) : -infinity();
  const float keys = c.plan.virtual_log != nullptr ? c.plan.virtual_log[slot] : -infinity();
  const float most = sink > keys ? sink : keys;
  if (most == -infinity()) return most;
  return (most + on_device::log(on_device::exp(sink - most) + on_device::exp(keys - most))) *
         kLog2E;
}

/// The pairs of one (batch, head).
class PairScore {
 public:
  __device__ PairScore(const attn::FusedCall& call, int batch, int head)
      : c(call),
        b(batch),
        h(head),
        stream_(call.dropout.key.derive(call.dropout.row + static_cast<uint64_t>(batch))
                    .derive(call.dropout.head + static_cast<uint64_t>(head))) {}

  /// The logit in base 2 of the pair in these slots, which must exist, and d logit / d (scale q.k).
  __device__ float logit2(float product, int query_slot, int key_slot, float& slope) const {
    const attn::FusedScore& s = c.score;
    const int i = token_of(c.plan.queries.order, query_slot);
    const int j = token_of(c.plan.keys.order, key_slot);
    slope = 1.0f;
    if (s.query_temperature.data != nullptr) slope = term_at(s.query_temperature, b, h, i, 0);
    if (s.key_temperature.data != nullptr) slope *= term_at(s.key_temperature, b, h, 0, j);
    float x = product * s.scale * slope;
    if (s.softcap != 0.0f) {
      const float bent = on_device::tanh(x / s.softcap);
      x = s.softcap * bent;
      slope *= 1.0f - bent * bent;
    }
    if (s.bias.data != nullptr) x += term_at(s.bias, b, h, i, j);
    if (s.table.data != nullptr) x += term_at(s.table, 0, h, 0, entry_of(s.table_index, i, j));
#pragma unroll 1
    for (int a = 0; a < 3; ++a) {
      if (s.relative[a].data != nullptr)
        x += term_at(s.relative[a], b, h, i, entry_of(s.relative_index[a], i, j));
    }
    x *= kLog2E;
    if (s.alibi != nullptr)
      x += s.alibi[h] * kLog2E * static_cast<float>(j - static_cast<int>(s.offset) - i);
    return x;
  }

  __device__ bool drops() const { return c.dropout.threshold != 0; }
  /// Whether the pair in these slots survives dropout.
  __device__ bool keeps(int query_slot, int key_slot) const {
    const attn::FusedDropout& d = c.dropout;
    const int64_t key = d.first_key + key_slot * d.key_step;
    const int64_t query = d.first_query + query_slot * d.query_step;
    const auto words =
        stream_.block((static_cast<uint64_t>(query) << 30) + static_cast<uint64_t>(key / 4));
    // by comparisons: an array indexed at run time would not stay in registers
    const int k = static_cast<int>(key % 4);
    const uint32_t word = k < 2 ? (k == 0 ? words[0] : words[1]) : (k == 2 ? words[2] : words[3]);
    return word >= d.threshold;
  }

  const attn::FusedCall& c;
  int b, h;

 private:
  RandomStream stream_;
};

/// Which of a lane's scores of a tile are pairs: bit 8 n + c of word `half` stands for row
/// g + 8 half, column 8 n + 2 t + c.
struct SeenPairs {
  uint64_t word[2];
  unsigned units;  ///< of columns with pairs in the warp's rows
  bool all;        ///< nothing to hide

  /// `row` is the warp's first in the tile; rows from `rows` on and columns from `columns` on (both
  /// counted from the tile's first) do not exist.
  __device__ SeenPairs(const attn::DevicePlan::Side& side, int mask, int row, int rows,
                       int columns) {
    const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
    const uint64_t there = columns >= kDeviceTile ? ~uint64_t{0} : (uint64_t{1} << columns) - 1;
    units = columns >= kDeviceTile ? 15u : (1u << (columns + 15) / 16) - 1;
    all = mask < 0 && columns >= kDeviceTile && rows >= row + kWarpRows;
    if (mask >= 0) units &= side.active[mask] >> (row / kWarpRows * 4) & 15u;
    if (rows <= row) units = 0;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int at = row + g + 8 * half;
      uint64_t bits = at < rows ? there : 0;
      if (mask >= 0) bits &= side.words[int64_t{mask} * kDeviceTile + at];
      word[half] = bits >> (2 * t);
    }
  }
  __device__ bool at(int n, int i) const { return (word[i / 2] >> (8 * n + i % 2) & 1) != 0; }
};

}  // namespace heed::kernels::cuda
