// PowerAttention (arXiv 2503.03588, algorithm 1) and the patterns that the paper compares it with
// (algorithms 2 to 5): blocks of queries see blocks of keys of their past by a rule on the two
// blocks alone. With Bq and Bk counted from 0, D = Bq - Bk >= 0, w the window and s the sinks:
//
//   power     Bk < s  or  D < w  or  D a power of two (or 0)
//   sliding   Bk < s  or  D < w
//   stride    Bk < s  or  D < w  or  D a multiple of the stride
//   dilated   D even and D < w
//   longnet   D's bits above the lowest n differ (Bq xor Bk < 2^n) only where Bq and Bk end in
//             n - 3 zeros: segments of 8, 16, ..., 128 blocks, dilated by 1, 2, ..., 16
//
// A chain of d attentions by `power` with w = 1 and s = 0 joins any two blocks whose distance has
// at most d bits set (theorem B.1).
#pragma once

#include "kernels/attention/pattern.h"

namespace heed {

enum class BlockRule { power, sliding, stride, dilated, longnet };

struct PowerBlocks {
  int64_t block = 256;  ///< tokens of a block
  int64_t window = 5;   ///< nearest blocks, the own included; dilated: blocks it spans
  int64_t sinks = 1;    ///< first blocks, which all see
  BlockRule rule = BlockRule::power;
  int64_t stride = 32;  ///< of `stride`, in blocks
};

/// Whether the rule lets a block of queries see a block of keys, which must not lie behind it.
bool sees_block(const PowerBlocks& blocks, int64_t query_block, int64_t key_block);
/// The pattern of tokens; query 0 is token `offset`. Blocks are cut from token 0, and the own one
/// is seen whole: causality is the caller's.
AttentionPattern power_blocks(int64_t queries, int64_t keys, int64_t offset,
                              const PowerBlocks& blocks);

}  // namespace heed
