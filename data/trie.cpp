#include "data/trie.h"

namespace heed::data {

void Trie::add(std::string_view key, int32_t value) {
  int32_t node = kRoot;
  for (const char byte : key) {
    int32_t next = step(node, byte);
    if (next == kNone) {
      next = static_cast<int32_t>(values_.size());
      children_[key_of(node, byte)] = next;
      values_.push_back(kNone);
    }
    node = next;
  }
  if (node != kRoot) values_[static_cast<size_t>(node)] = value;
}

int32_t Trie::walk(std::string_view text, int32_t node) const {
  for (const char byte : text) {
    node = step(node, byte);
    if (node == kNone) return kNone;
  }
  return node;
}

}  // namespace heed::data
