// A random permutation of [0, n) that is computed element by element, without a table: a Feistel
// network over the smallest even number of bits that covers n, walking cycles until it lands below
// n (Black & Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002).
#pragma once

#include <array>
#include <cstdint>

#include "core/random.h"

namespace heed::data {

class Permutation {
 public:
  /// Of [0, n), n >= 1, drawn by the key.
  Permutation(const RandomKey& key, uint64_t n);

  uint64_t size() const { return n_; }
  /// The place of `index` < n in the permutation.
  uint64_t operator()(uint64_t index) const;

 private:
  static constexpr int kRounds = 6;

  uint64_t n_;
  int half_bits_;
  std::array<uint64_t, kRounds> round_keys_{};
};

/// Where an endless sequence stands in which every example comes once an epoch.
struct EpochPlace {
  uint64_t epoch, example;
};
/// Place `nth` of that sequence over `count` >= 1 examples; the order is drawn by (seed, epoch).
EpochPlace place_in_epochs(uint64_t seed, uint64_t nth, uint64_t count);

}  // namespace heed::data
