// What the fused kernels for CUDA work on: plain data, of the host's .cpp and of the .cu files.
#pragma once

#include "core/element.h"
#include "core/random.h"
#include "kernels/device_kernel.h"

namespace heed::kernels::attn {

/// Lines [first, last) of the other side, all of them full tiles; or one partial tile.
struct DeviceRun {
  int32_t first = 0, last = 0;
  int32_t mask = -1;  ///< index of the mask; -1: full
};

inline constexpr int kDeviceTile = 64;  ///< kTileSide

/// A tile plan in device memory, from either side. Blocks of queries and tiles of keys are
/// kDeviceTile slots; a side's lines are numbered variant lines + line.
struct DevicePlan {
  struct Side {
    int32_t lines = 0;                 ///< blocks of queries; tiles of keys
    const int32_t* starts = nullptr;   ///< [variants lines + 1], into `runs`
    const DeviceRun* runs = nullptr;   ///< of the other side's lines that the line meets
    const uint64_t* words = nullptr;   ///< [masks, kDeviceTile]: bits over the other side
    const uint16_t* active = nullptr;  ///< [masks], bit 4 own unit + other's unit
    const int32_t* order = nullptr;    ///< token of each slot; null: the same
    /// Pairs of lines 2 p and 2 p + 1, those that meet most lines of the other side first.
    const int32_t* heaviest = nullptr;
  };
  Side queries, keys;
  const float* virtual_log = nullptr;  ///< by query slot: log of the virtual keys' number; or null
  int32_t batch_step = 0, head_step = 0;  ///< of variants
};

/// The rows [B, H, N, width] of a strided tensor; null where there is none.
struct FusedRows {
  void* data = nullptr;
  int64_t batch = 0, head = 0, row = 0;  ///< strides
  int32_t width = 0;
  bool wide = false;  ///< 16 bytes at a time are aligned throughout
};

/// A score's tensor: element (b, h, i, j) with zero strides where it broadcasts.
struct FusedTerm {
  const float* data = nullptr;
  int64_t b = 0, h = 0, i = 0, j = 0;
};

/// A RelativeIndex in device memory.
struct FusedIndex {
  const int32_t *query = nullptr, *key = nullptr, *map = nullptr;
  int32_t map_size = 0, entries = 0;
};

/// AttentionScore, ready to compute with; terms that are null do not exist.
struct FusedScore {
  bool any = false;  ///< more than a positive scale, or dropout
  float scale = 1, softcap = 0;
  FusedTerm query_temperature, key_temperature, bias, table, sink;
  FusedIndex table_index;
  FusedTerm relative[3];
  FusedIndex relative_index[3];
  const float* alibi = nullptr;  ///< slope of each head
  int64_t offset = 0;            ///< position of query 0 among the keys
};

/// See DropoutMask.
struct FusedDropout {
  uint32_t threshold = 0;  ///< 0: none
  float keep_scale = 1;
  RandomKey key;
  uint64_t row = 0, head = 0;
  int64_t first_query = 0, query_step = 1, first_key = 0, key_step = 1;
};

/// One call. Forward writes out and lse; backward reads them. lse, dlse, delta are [B, H, N].
struct FusedCall {
  DType dtype = DType::bf16;
  int32_t batch = 0, heads = 0, kv_heads = 0, queries = 0, keys = 0, head_dim = 0, value_dim = 0;
  FusedRows q, k, v, out, dout, dq, dk, dv;
  float *lse = nullptr, *delta = nullptr;
  const float* dlse = nullptr;
  /// Forward: into how many parts the keys of few queries are cut, a block each. With more than one
  /// a part leaves its sums of [value_dim], its maximum in base 2 and its sum of exponentials at
  /// partial[((b, h, i), part), value_dim + 2].
  int32_t splits = 1;
  float* partial = nullptr;
  /// The kernels for sm_90a: two counters, zero; room for what backward knows of each slot of
  /// queries, [B, H, lines, kDeviceTile, 2]. Null where the portable kernels take the call.
  int32_t* counters = nullptr;
  float* statistics = nullptr;
  DevicePlan plan;
  FusedScore score;
  FusedDropout dropout;
};

extern DeviceKernel<void(const FusedCall&)> fused_forward_cuda, fused_backward_cuda;
/// Whether the kernels for sm_90a take the call on the device that runs now: forward, or backward
/// (where dout is there).
extern DeviceKernel<bool(const FusedCall&)> fused_fits_hopper_cuda;

}  // namespace heed::kernels::attn
