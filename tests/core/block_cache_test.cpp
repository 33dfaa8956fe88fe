#include "core/block_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "core/error.h"

namespace heed {
namespace {

/// Has `blocks` blocks to give, then none.
struct Limited : BlockSource {
  explicit Limited(int count) : blocks(count) {}
  void* take(size_t bytes) override {
    smallest = std::min(smallest, bytes);
    return blocks-- > 0 ? std::malloc(bytes) : nullptr;
  }
  void give_back(void* block) override { std::free(block), ++given_back; }
  int blocks, given_back = 0;
  size_t smallest = SIZE_MAX;
};

/// Whose driver says no.
struct Broken : BlockSource {
  void* take(size_t) override { fail("broken"); }
  void give_back(void*) override {}
};

TEST(BlockCache, WhatWasNotHandedOutIsNotCounted) {
  for (const bool keep : {true, false}) {
    Limited none(0);
    BlockCache cache(none, kCpu, keep);
    EXPECT_THROW(cache.allocate(100), Error);
    Broken broken;
    BlockCache other(broken, kCpu, keep);
    EXPECT_THROW(other.allocate(100), Error);
    for (BlockCache* c : {&cache, &other}) {
      EXPECT_EQ(c->stats().in_use_bytes, 0);
      EXPECT_EQ(c->stats().peak_bytes, 0);
      EXPECT_EQ(c->stats().allocations, 0);
    }
  }
}

TEST(BlockCache, KeepsBlocksUntilTheyAreNeededElsewhere) {
  Limited source(2);
  BlockCache cache(source, kCpu, true);
  void* block = cache.allocate(100);
  cache.free(block, 100);
  EXPECT_EQ(cache.stats().in_use_bytes, 0);
  EXPECT_EQ(cache.stats().cached_bytes, 128);  // two steps of 64 bytes
  EXPECT_EQ(cache.allocate(120), block) << "of the same class of sizes";
  EXPECT_EQ(cache.stats().system_calls, 1);
  void* large = cache.allocate(1000);
  cache.free(block, 120);
  cache.free(large, 1000);
  EXPECT_THROW(cache.allocate(5000), Error);
  EXPECT_EQ(source.given_back, 2) << "all that was kept, before it gives up";
  EXPECT_EQ(cache.stats().cached_bytes, 0);
}

TEST(BlockCache, GivesBackAtOnceWhereNothingIsKept) {
  Limited source(2);
  BlockCache cache(source, kCpu, false);
  cache.free(cache.allocate(100), 100);
  EXPECT_EQ(source.given_back, 1);
  EXPECT_EQ(cache.stats().cached_bytes, 0);
  EXPECT_EQ(cache.stats().in_use_bytes, 0);
  EXPECT_EQ(cache.stats().peak_bytes, 128);
  cache.free(cache.allocate(0), 0);
  EXPECT_EQ(source.smallest, 1u) << "a block of nothing is a null pointer to some";
}

}  // namespace
}  // namespace heed
