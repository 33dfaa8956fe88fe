// Small charsmaps, for tests and seeds: a double array of a few keys, each of one byte.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace heed::data {

/// The charsmap (data/charsmap.h) of keys of one byte each.
inline std::string charsmap_of(const std::vector<std::pair<std::string, std::string>>& rules) {
  // The root's children are at 256 ^ byte; a child's leaf is at 512 ^ (its number * 256).
  constexpr uint32_t kChildren = 256;
  std::vector<uint32_t> units(512 + 256 * rules.size(), 0);
  units[0] = kChildren << 10;
  std::string replacements;
  for (size_t i = 0; i < rules.size(); ++i) {
    const auto byte = static_cast<unsigned char>(rules[i].first[0]);
    const uint32_t node = kChildren ^ byte;
    const auto leaf = static_cast<uint32_t>(512 + 256 * i);
    units[node] = ((node ^ leaf) << 10) | (1u << 8) | byte;
    units[leaf] = static_cast<uint32_t>(replacements.size()) | (1u << 31);
    replacements += rules[i].second + '\0';
  }
  std::string bytes;
  const auto append = [&](uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(value >> shift & 255);
  };
  append(static_cast<uint32_t>(units.size() * 4));
  for (const uint32_t unit : units) append(unit);
  return bytes + replacements;
}

}  // namespace heed::data
