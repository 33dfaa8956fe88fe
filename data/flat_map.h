// FlatMap: a hash map from 64-bit keys to small values, open addressing in one array.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/random.h"

namespace heed::data {

template <class Value>
class FlatMap {
 public:
  /// Any key but this one.
  static constexpr uint64_t kNone = ~uint64_t{0};

  explicit FlatMap(size_t expected = 0) { reserve(expected); }

  void reserve(size_t expected) {
    size_t slots = 16;
    while (slots * 3 < expected * 4) slots *= 2;
    if (slots > slots_.size()) rehash(slots);
  }

  size_t size() const { return size_; }

  const Value* find(uint64_t key) const {
    for (size_t i = mix(key) & mask_;; i = (i + 1) & mask_) {
      if (slots_[i].first == key) return &slots_[i].second;
      if (slots_[i].first == kNone) return nullptr;
    }
  }
  Value* find(uint64_t key) { return const_cast<Value*>(std::as_const(*this).find(key)); }

  /// The value of the key, made of zeros when it is new. Valid until the next insertion.
  Value& operator[](uint64_t key) {
    if ((size_ + 1) * 4 > slots_.size() * 3) rehash(slots_.size() * 2);
    size_t i = mix(key) & mask_;
    while (slots_[i].first != key && slots_[i].first != kNone) i = (i + 1) & mask_;
    if (slots_[i].first == kNone) {
      slots_[i].first = key;
      ++size_;
    }
    return slots_[i].second;
  }

  /// Calls fn(key, value) in no particular order.
  template <class Fn>
  void for_each(Fn&& fn) const {
    for (const auto& [key, value] : slots_) {
      if (key != kNone) fn(key, value);
    }
  }

 private:
  void rehash(size_t slots) {
    std::vector<std::pair<uint64_t, Value>> old(slots, {kNone, Value{}});
    old.swap(slots_);
    mask_ = slots - 1;
    for (auto& [key, value] : old) {
      if (key == kNone) continue;
      size_t i = mix(key) & mask_;
      while (slots_[i].first != kNone) i = (i + 1) & mask_;
      slots_[i] = {key, std::move(value)};
    }
  }

  std::vector<std::pair<uint64_t, Value>> slots_;
  size_t mask_ = 0;
  size_t size_ = 0;
};

}  // namespace heed::data
