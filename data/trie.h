// Trie: byte strings by their prefixes, for what walks a text and looks which tokens begin there.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "data/flat_map.h"

namespace heed::data {

class Trie {
 public:
  static constexpr int32_t kRoot = 0;
  static constexpr int32_t kNone = -1;

  /// The value, at least 0, of a key that is not empty; of a key that is there twice the last
  /// counts.
  void add(std::string_view key, int32_t value);
  /// The node behind `byte`, or kNone.
  int32_t step(int32_t node, char byte) const {
    const int32_t* child = children_.find(key_of(node, byte));
    return child == nullptr ? kNone : *child;
  }
  /// The node of a whole string, or kNone.
  int32_t walk(std::string_view text, int32_t node = kRoot) const;
  /// The value of the key that ends at a node, or kNone.
  int32_t value(int32_t node) const { return values_[static_cast<size_t>(node)]; }

  /// Calls fn(length, value) for every key that `text` begins with, the shortest first.
  template <class Fn>
  void for_each_prefix(std::string_view text, Fn&& fn) const {
    int32_t node = kRoot;
    for (size_t at = 0; at < text.size(); ++at) {
      node = step(node, text[at]);
      if (node == kNone) return;
      if (value(node) != kNone) fn(at + 1, value(node));
    }
  }

 private:
  static uint64_t key_of(int32_t node, char byte) {
    return (static_cast<uint64_t>(node) << 8) | static_cast<unsigned char>(byte);
  }

  FlatMap<int32_t> children_;
  std::vector<int32_t> values_ = {kNone};  ///< by node
};

}  // namespace heed::data
