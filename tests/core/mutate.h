// Deterministic damage to a valid file, for tests that demand "is read or refused, never crashes".
#pragma once

#include <algorithm>
#include <random>
#include <string>

namespace heed {

/// A copy of `bytes` with one to four random edits: bits flipped, bytes set, runs removed, repeated
/// or cut off at the end, digits changed. The same seed gives the same damage everywhere (the
/// standard fixes mt19937, but not its distributions).
inline std::string mutate(std::string bytes, unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](size_t n) { return n == 0 ? 0 : random() % n; };
  const size_t edits = 1 + below(4);
  for (size_t i = 0; i < edits; ++i) {
    // Half of the damage goes to the front, where headers are.
    const size_t at = below(below(2) != 0 ? bytes.size() : std::min<size_t>(bytes.size(), 200));
    const size_t run = 1 + below(16);
    if (bytes.empty()) break;
    switch (below(7)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 1:
        bytes[at] = static_cast<char>(below(256));
        break;
      case 2:
        bytes.erase(at, run);
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, run));
        break;
      case 4:
        bytes.resize(at);
        break;
      case 5:
        bytes[at] = "{}[]()\",:'0123456789-eE.<|\\"[below(27)];
        break;
      default: {
        const size_t digit = bytes.find_first_of("0123456789", at);
        if (digit != std::string::npos) bytes[digit] = static_cast<char>('0' + below(10));
      }
    }
  }
  return bytes;
}

}  // namespace heed
