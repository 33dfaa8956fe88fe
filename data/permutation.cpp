#include "data/permutation.h"

#include <bit>

#include "core/error.h"

namespace heed::data {

Permutation::Permutation(const RandomKey& key, uint64_t n)
    : n_(n), half_bits_((std::bit_width(n - 1) + 1) / 2) {
  HEED_CHECK(n >= 1 && n <= uint64_t{1} << 62, "permutation: n = {} is not in [1, 2^62]", n);
  const RandomStream stream(key);
  for (size_t r = 0; r < round_keys_.size(); ++r) round_keys_[r] = stream.word64(r);
}

// At most 4n values are walked through, so a walk takes under 4 turns on average.
uint64_t Permutation::operator()(uint64_t index) const {
  HEED_CHECK(index < n_, "permutation: {} is not below {}", index, n_);
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t value = index;
  do {
    uint64_t left = value >> half_bits_, right = value & mask;
    for (const uint64_t key : round_keys_) {
      const uint64_t mixed = left ^ (mix(right ^ key) & mask);
      left = right;
      right = mixed;
    }
    value = (left << half_bits_) | right;
  } while (value >= n_);
  return value;
}

EpochPlace place_in_epochs(uint64_t seed, uint64_t nth, uint64_t count) {
  HEED_CHECK(count >= 1, "epochs: of {} examples", count);
  const uint64_t epoch = nth / count;
  return {epoch, Permutation({seed, hash_name("data/epochs"), epoch}, count)(nth % count)};
}

}  // namespace heed::data
