// What the three fused attention kernels for sm_90a share (after FlashAttention-3, arXiv
// 2407.08608, section 3.1): a block is a warpgroup that brings tiles and two that compute.
//
// Blocks stay, one a multiprocessor, and take items: two neighbouring lines of the plan (blocks of
// queries, or tiles of keys) of one head, a line for each computing group, the costliest first and
// whoever is free next. An item's steps are the tiles of the other side that either line meets, in
// order, so that both groups use what was brought once; what a step is, the bringer tells the
// groups with its first tile. Each step has two tiles (K and V, or Q and dO) and a place in a ring;
// either tile comes and goes by barriers of its own. An item has a tile or two for each line (Q, or
// Q and dO, or K and V).
//
// Tiles are brought by the copy engine where tokens are in order, and gathered by the bringer's
// threads where the plan's order is another one.
#pragma once

#include "kernels/attention/cuda/backward.h"
#include "kernels/attention/cuda/hopper/panel_tile.h"

namespace heed::kernels::cuda {

inline constexpr int kGroups = 2;
inline constexpr int kHopperThreads = (1 + kGroups) * kWarpgroup;
/// Registers of a thread at the launch: an even share of 65536, a multiple of 8.
inline constexpr int kLaunchRegisters = 65536 / kHopperThreads / 8 * 8;
/// Barriers of some warps.
inline constexpr int kTurnBarrier = 1, kItemBarrier = 3;

struct HopperCall {
  FusedCall call;
  TensorMap own[2], passing[2];  ///< of the tensors below; not read where tokens are gathered
  attn::FusedRows own_rows[2], passing_rows[2];
  const int32_t* heaviest = nullptr;  ///< pairs of lines, the costliest first
  int32_t* next = nullptr;  ///< zero at the launch: items that were taken beyond the first
  int32_t items = 0;
  bool gathers = false;
  const QueryStatistics* statistics = nullptr;  ///< [B, H, lines of queries, 64]
};

/// Two lines of one head: of queries, or of keys and its key/value head.
struct Item {
  int b, h, pair;

  template <bool kByKeys>
  __device__ static Item of(const HopperCall& c, int number) {
    const int heads = kByKeys ? c.call.kv_heads : c.call.heads, all = c.call.batch * heads;
    const int head = number % all;
    return {head / heads, head % heads, c.heaviest[number / all]};
  }
  __device__ int line(int group) const { return kGroups * pair + group; }
};

struct alignas(16) Step {
  static constexpr int32_t kUnseen = -2;
  int32_t item;           ///< -1: there are no more
  int32_t tile;           ///< of the other side; -1: the item has none, there are no tiles
  int32_t head;           ///< of queries
  int32_t last;           ///< of the item
  int32_t mask[kGroups];  ///< as of a DeviceRun; kUnseen: not that group's
};

/// A place of a ring, and the parity of its present use.
template <int kPlaces>
struct RingPlace {
  int at = 0, parity = 0;

  __device__ void advance() {
    if (++at < kPlaces) return;
    at = 0;
    parity ^= 1;
  }
};

template <int kWidth_, int kOwn_, int kPlaces_, bool kByKeys_>
struct HopperShape {
  static constexpr int kWidth = kWidth_;    ///< of tiles
  static constexpr int kOwn = kOwn_;        ///< tiles of each line
  static constexpr int kPlaces = kPlaces_;  ///< of a ring
  /// Lines are of keys; with the tiles of queries go their statistics.
  static constexpr bool kByKeys = kByKeys_;
  /// Registers of a thread: two sums of 128 columns need all that the bringer can do without.
  static constexpr int kBringerRegisters = kByKeys && kWidth > 64 ? 40 : 56;
  static constexpr int kGroupRegisters =
      ((1 + kGroups) * kLaunchRegisters - kBringerRegisters) / kGroups;
  using Tile = PanelTile<kWidth>;

  struct Shared {
    alignas(1024) std::byte own[kGroups][kOwn][Tile::kBytes];
    std::byte passing[2][kPlaces][Tile::kBytes];
    QueryStatistics statistics[kByKeys ? kPlaces : 1][kDeviceTile];
    Step steps[kPlaces];
    int32_t next_item;
    Barrier own_full[kGroups], own_empty[kGroups];
    Barrier full[2][kPlaces], empty[2][kPlaces];
  };
  static constexpr size_t kSharedBytes = sizeof(Shared) + 1024;
  static_assert(kSharedBytes <= size_t{227} << 10);

  __device__ static Shared& shared() {
    auto* memory = dynamic_shared<std::byte>();
    return *reinterpret_cast<Shared*>(memory + (1024 - shared_address(memory) % 1024) % 1024);
  }
  __device__ static Tile own(Shared& shared, int group, int which) {
    return {shared.own[group][which]};
  }
  __device__ static Tile passing(Shared& shared, int which, int place) {
    return {shared.passing[which][place]};
  }

  /// All threads of the block.
  __device__ static void make_barriers(Shared& shared, bool gathers) {
    if (threadIdx.x == 0) {
      const int bringers = gathers ? kWarpgroup : 1;
      for (int g = 0; g < kGroups; ++g) {
        make_barrier(shared.own_full[g], bringers);
        make_barrier(shared.own_empty[g], 4);
      }
      for (int which = 0; which < 2; ++which) {
        for (int p = 0; p < kPlaces; ++p) {
          make_barrier(shared.full[which][p], bringers);
          make_barrier(shared.empty[which][p], 4 * kGroups);
        }
      }
      barriers_made();
    }
    __syncthreads();
  }
};

/// Each warp of a computing group, once it no longer reads a tile.
__device__ inline void hand_back(Barrier& empty) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) arrive(empty);
}

/// The same number for all lanes, which the compiler is to know: products may not depend on what
/// could differ within a warp.
__device__ inline int uniform(int x) { return __shfl_sync(0xffffffffu, x, 0); }

/// A computing group's way through the steps.
template <class Shape>
class StepReader {
 public:
  using Place = RingPlace<Shape::kPlaces>;

  __device__ StepReader(typename Shape::Shared& shared, int group)
      : shared_(shared), group_(group) {}

  /// To the next item's first step; the item's number, or -1 at the end.
  __device__ int open_item() {
    read();
    return uniform(shared_.steps[place_.at].item);
  }
  /// On to the first step from here on that is the group's; false: the item has no more.
  /// between() is called for each tile that is passed by.
  template <class Between>
  __device__ bool settle(const Between& between) {
    while (mask_ == Step::kUnseen) {
      if (tile_ >= 0) between();
      hand_back(shared_.empty[0][place_.at]);  // the second tile is the bringer's to count
      if (!advance()) return false;
    }
    return true;
  }
  /// Behind a step that was the group's.
  template <class Between>
  __device__ bool next(const Between& between) {
    return advance() && settle(between);
  }
  /// Of the present step: the tile of the other side, the head of queries, the line's mask.
  __device__ int tile() const { return tile_; }
  __device__ int head() const { return uniform(shared_.steps[place_.at].head); }
  __device__ int mask() const { return mask_; }
  /// Where its tiles lie.
  __device__ Place place() const { return place_; }

 private:
  __device__ void read() {
    wait(shared_.full[0][place_.at], place_.parity);
    const Step& step = shared_.steps[place_.at];
    tile_ = uniform(step.tile), last_ = uniform(step.last), mask_ = uniform(step.mask[group_]);
  }
  __device__ bool advance() {
    place_.advance();
    if (last_ != 0) return false;
    read();
    return true;
  }

  typename Shape::Shared& shared_;
  int group_;
  int tile_ = -1, last_ = 1, mask_ = Step::kUnseen;
  Place place_;
};

/// The same number, of which the compiler is not to know: what is made of it is made again.
__device__ inline int forgotten(int x) {
#if !defined(HEED_CUDA_EMULATION)
  asm volatile("" : "+r"(x));
#endif
  return x;
}

}  // namespace heed::kernels::cuda
