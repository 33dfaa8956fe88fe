#include "data/tokens.h"

#include <algorithm>

namespace heed::data {

Tokens::Tokens(int64_t vocab_size) : vocab_size_(vocab_size) {
  if (vocab_size > 65536) ids_ = std::vector<int32_t>();
}

Tokens::Tokens(std::span<const TokenId> ids, int64_t vocab_size) : Tokens(vocab_size) {
  append(ids);
}

void Tokens::reserve(int64_t size) {
  std::visit([size](auto& ids) { ids.reserve(static_cast<size_t>(size)); }, ids_);
}

void Tokens::append(std::span<const TokenId> ids) {
  for (const TokenId id : ids) {
    HEED_CHECK(id >= 0 && id < vocab_size_, "tokens: id {} is outside the vocabulary of {}", id,
               vocab_size_);
  }
  std::visit([ids](auto& own) { own.insert(own.end(), ids.begin(), ids.end()); }, ids_);
}

int64_t Tokens::size() const {
  return std::visit([](const auto& ids) { return static_cast<int64_t>(ids.size()); }, ids_);
}

TokenId Tokens::operator[](int64_t index) const {
  return std::visit(
      [index](const auto& ids) { return static_cast<TokenId>(ids[static_cast<size_t>(index)]); },
      ids_);
}

void Tokens::copy(int64_t begin, int64_t count, int64_t* out) const {
  HEED_CHECK(begin >= 0 && count >= 0 && begin + count <= size(),
             "tokens: [{}, {}) of {} was asked for", begin, begin + count, size());
  std::visit(
      [=](const auto& ids) {
        const auto first = ids.begin() + static_cast<std::ptrdiff_t>(begin);
        std::copy(first, first + static_cast<std::ptrdiff_t>(count), out);
      },
      ids_);
}

std::vector<TokenId> Tokens::slice(int64_t begin, int64_t count) const {
  HEED_CHECK(begin >= 0 && count >= 0 && begin + count <= size(),
             "tokens: [{}, {}) of {} was asked for", begin, begin + count, size());
  return std::visit(
      [=](const auto& ids) {
        const auto first = ids.begin() + static_cast<std::ptrdiff_t>(begin);
        return std::vector<TokenId>(first, first + static_cast<std::ptrdiff_t>(count));
      },
      ids_);
}

}  // namespace heed::data
