// Counter-based randomness: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1,
// 2, 3", SC'11). A draw is a pure function of (seed, purpose, step, element index), so a mask or an
// initial weight does not depend on thread count, device, rank or on being resumed.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/element.h"

namespace heed {

/// What a family of draws belongs to. `purpose` is the hash of a name ("init/blocks.0.fc1.weight").
struct RandomKey {
  uint64_t seed = 0;
  uint64_t purpose = 0;
  uint64_t step = 0;

  /// The same seed and step for a narrower purpose.
  RandomKey derive(std::string_view name) const;
  HEED_HOST_DEVICE inline RandomKey derive(uint64_t number) const;
};

/// FNV-1a, 64 bits: the hash that turns names into purposes. Stable across machines.
constexpr uint64_t hash_name(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return hash;
}

/// SplitMix64's finaliser: mixes a 64-bit number.
HEED_HOST_DEVICE constexpr uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

RandomKey RandomKey::derive(uint64_t number) const {
  return {seed, mix(purpose * 0x9e3779b97f4a7c15u + number + 1), step};
}

/// One Philox block: 128 random bits for a 128-bit counter and a 64-bit key.
HEED_HOST_DEVICE inline std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter,
                                                       std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// Draws by element index: element i is word i % 4 of block i / 4.
class RandomStream {
 public:
  HEED_HOST_DEVICE explicit RandomStream(const RandomKey& key) {
    const uint64_t k = mix(key.seed + 0x9e3779b97f4a7c15u);
    const uint64_t c = mix(key.purpose ^ mix(key.step + 0x9e3779b97f4a7c15u));
    key_ = {static_cast<uint32_t>(k), static_cast<uint32_t>(k >> 32)};
    high_ = {static_cast<uint32_t>(c), static_cast<uint32_t>(c >> 32)};
  }

  /// Words of elements 4*block .. 4*block + 3.
  HEED_HOST_DEVICE std::array<uint32_t, 4> block(uint64_t block) const {
    return philox(
        {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), high_[0], high_[1]},
        key_);
  }
  HEED_HOST_DEVICE uint32_t word(uint64_t index) const { return block(index / 4)[index % 4]; }
  HEED_HOST_DEVICE uint64_t word64(uint64_t index) const {
    const auto b = block(index / 2);
    const size_t i = index % 2 * 2;
    return (uint64_t{b[i]} << 32) | b[i + 1];
  }
  /// Uniform in [0, 1), 24 bits.
  HEED_HOST_DEVICE float uniform(uint64_t index) const { return to_uniform(word(index)); }
  /// Standard normal (Box-Muller); elements 2i and 2i+1 share a pair of words.
  float normal(uint64_t index) const;
  /// Uniform in [0, n), without modulo bias to speak of (64-bit multiply-shift).
  uint64_t below(uint64_t index, uint64_t n) const;

  /// The Philox key, and the counter's upper half (the block is the lower one): for vector code.
  const std::array<uint32_t, 2>& philox_key() const { return key_; }
  const std::array<uint32_t, 2>& counter_high() const { return high_; }

  HEED_HOST_DEVICE static float to_uniform(uint32_t word) {
    return static_cast<float>(word >> 8) * 0x1p-24f;
  }

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 2> high_;
};

/// The run's randomness: set by the trainer at each step, read by dropout and its like.
struct RandomContext {
  uint64_t seed = 0;
  uint64_t step = 0;  ///< optimiser step
  /// Which of the equal parts of the step's rows is computed now: micro-batches and the ranks that
  /// share them number them.
  uint64_t part = 0;
};
RandomContext& random_context();

/// The key of a draw made now for the named purpose: seed and step of the run.
RandomKey current_key(uint64_t purpose);

/// Where a tensor [rows, tokens, ..., columns] lies in the larger one that its draws are numbered
/// in: ranks that share a batch, its sequences or their features draw as one rank would.
struct DrawPlace {
  uint64_t first_row = 0;
  std::vector<int64_t> tokens =
      {};  ///< which of the whole's tokens these are; empty: the first ones
  int64_t first_column = 0;
  int64_t columns = 0;  ///< of the whole; 0: the tensor's own

  /// Whether the tensor's rows are rows of the whole.
  bool whole_rows() const { return tokens.empty() && columns == 0; }
};

/// Index, among the draws of the whole step, of the first of `n` that belong to the part computed
/// now: so that a row's draws are the same however the step's rows are shared out.
uint64_t first_draw(int64_t n);

}  // namespace heed
