#include "kernels/attention/patterns/power.h"

#include <fmt/format.h>

#include "core/error.h"

namespace heed {
namespace {

bool longnet(int64_t query_block, int64_t key_block) {
  const int64_t differ = query_block ^ key_block, either = query_block | key_block;
  for (int64_t segment = 8, dilation = 1; segment <= 128; segment *= 2, dilation *= 2) {
    if (differ < segment && (either & (dilation - 1)) == 0) return true;
  }
  return false;
}

}  // namespace

bool sees_block(const PowerBlocks& blocks, int64_t query_block, int64_t key_block) {
  const int64_t distance = query_block - key_block;
  if (distance < 0) return false;
  const bool near = key_block < blocks.sinks || distance < blocks.window;
  switch (blocks.rule) {
    case BlockRule::power:
      return near || (distance & (distance - 1)) == 0;
    case BlockRule::sliding:
      return near;
    case BlockRule::stride:
      return near || distance % blocks.stride == 0;
    case BlockRule::dilated:
      return distance % 2 == 0 && distance < blocks.window;
    case BlockRule::longnet:
      return longnet(query_block, key_block);
  }
  return false;
}

AttentionPattern power_blocks(int64_t queries, int64_t keys, int64_t offset,
                              const PowerBlocks& blocks) {
  const int64_t block = blocks.block;
  HEED_CHECK(
      block > 0 && blocks.window > 0 && blocks.sinks >= 0 && blocks.stride > 0 && offset >= 0,
      "attention: power blocks of {}, window {}, sinks {}, stride {}, offset {}", block,
      blocks.window, blocks.sinks, blocks.stride, offset);
  if (offset % block == 0) {
    const int64_t first = offset / block;
    return AttentionPattern::blocks(block, queries, keys,
                                    [blocks, first](int64_t query, int64_t key) {
                                      return sees_block(blocks, first + query, key);
                                    });
  }
  // A step of decoding: its queries may lie anywhere in their blocks.
  return AttentionPattern::where(
      fmt::format("power({}, {}, {}, {}, {}, {})", static_cast<int>(blocks.rule), block,
                  blocks.window, blocks.sinks, blocks.stride, offset),
      [blocks, block, offset](int64_t i, int64_t j) {
        return sees_block(blocks, (offset + i) / block, j / block);
      });
}

}  // namespace heed
