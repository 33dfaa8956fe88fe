#include "data/tokens.h"

#include <algorithm>
#include <bit>

namespace heed::data {
namespace {

static_assert(std::endian::native == std::endian::little, "pieces are little-endian");

/// The starts of a piece's documents in [begin, end) of its tokens.
std::span<const uint64_t> starts_in(const TokenPiece& piece, int64_t begin, int64_t end) {
  const auto at = [&](int64_t token) {
    return std::lower_bound(piece.starts.begin(), piece.starts.end(),
                            piece.base + static_cast<uint64_t>(token));
  };
  const auto first = at(begin);
  return {first, at(end)};
}

template <class Id, class Out>
void copy_piece(const TokenPiece& piece, int64_t begin, int64_t count, int64_t vocab, Out* out) {
  const auto* ids = reinterpret_cast<const Id*>(piece.ids) + begin;
  for (int64_t i = 0; i < count; ++i) {
    if (static_cast<int64_t>(ids[i]) >= vocab) {
      fail_request(SourceLocation{piece.name},
                   fmt::format("token {}: the id {} is outside the vocabulary of {}", begin + i,
                               ids[i], vocab));
    }
    out[i] = static_cast<Out>(ids[i]);
  }
}

}  // namespace

Tokens::Tokens(int64_t vocab_size) : vocab_size_(vocab_size) {
  if (vocab_size > 65536) ids_ = std::vector<int32_t>();
}

Tokens::Tokens(std::span<const TokenId> ids, int64_t vocab_size) : Tokens(vocab_size) {
  append(ids);
}

void Tokens::reserve(int64_t size) {
  const auto count = static_cast<size_t>(size);
  if (auto* narrow = std::get_if<std::vector<uint16_t>>(&ids_)) narrow->reserve(count);
  if (auto* wide = std::get_if<std::vector<int32_t>>(&ids_)) wide->reserve(count);
}

void Tokens::append(std::span<const TokenId> ids) {
  for (const TokenId id : ids) {
    HEED_CHECK(id >= 0 && id < vocab_size_, "tokens: id {} is outside the vocabulary of {}", id,
               vocab_size_);
  }
  if (auto* narrow = std::get_if<std::vector<uint16_t>>(&ids_)) {
    narrow->insert(narrow->end(), ids.begin(), ids.end());
  } else if (auto* wide = std::get_if<std::vector<int32_t>>(&ids_)) {
    wide->insert(wide->end(), ids.begin(), ids.end());
  } else {
    fail("tokens: ids cannot follow pieces");
  }
}

void Tokens::begin_document() {
  if (starts_.empty() || starts_.back() < size()) starts_.push_back(size());
}

void Tokens::append_piece(TokenPiece piece) {
  HEED_CHECK(piece.width == 2 || piece.width == 4, "tokens: ids of {} bytes", piece.width);
  if (!std::holds_alternative<Pieces>(ids_)) {
    HEED_CHECK(size() == 0, "tokens: pieces cannot follow ids");
    ids_ = Pieces{};
  }
  if (piece.count == 0) return;
  Pieces& own = std::get<Pieces>(ids_);
  own.ends.push_back(own.size() + piece.count);
  own.pieces.push_back(std::move(piece));
}

void Tokens::append_part(const Tokens& other, int64_t begin, int64_t end) {
  other.check_range(begin, end - begin);
  const auto* from = std::get_if<Pieces>(&other.ids_);
  HEED_CHECK(from != nullptr || other.size() == 0, "tokens: a part of what is no pieces");
  append_piece({});
  for (size_t i = 0; from != nullptr && i < from->pieces.size(); ++i) {
    TokenPiece piece = from->pieces[i];
    const int64_t first = from->ends[i] - piece.count;
    const int64_t from_token = std::clamp<int64_t>(begin - first, 0, piece.count);
    const int64_t to_token = std::clamp<int64_t>(end - first, 0, piece.count);
    if (from_token >= to_token) continue;
    piece.starts = starts_in(piece, from_token, to_token);
    piece.base += static_cast<uint64_t>(from_token);
    piece.ids += from_token * piece.width;
    piece.count = to_token - from_token;
    append_piece(std::move(piece));
  }
}

int64_t Tokens::size() const {
  return std::visit([](const auto& ids) { return static_cast<int64_t>(ids.size()); }, ids_);
}

void Tokens::check_range(int64_t begin, int64_t count) const {
  HEED_CHECK(begin >= 0 && count >= 0 && begin <= size() && count <= size() - begin,
             "tokens: [{}, {}) of {} was asked for", begin, begin + count, size());
}

template <class Out>
void Tokens::copy_to(int64_t begin, int64_t count, Out* out) const {
  const auto from_vector = [&](const auto& ids) {
    const auto first = ids.begin() + static_cast<std::ptrdiff_t>(begin);
    std::copy(first, first + static_cast<std::ptrdiff_t>(count), out);
  };
  if (const auto* narrow = std::get_if<std::vector<uint16_t>>(&ids_)) return from_vector(*narrow);
  if (const auto* wide = std::get_if<std::vector<int32_t>>(&ids_)) return from_vector(*wide);
  const Pieces& own = std::get<Pieces>(ids_);
  const auto holder = std::upper_bound(own.ends.begin(), own.ends.end(), begin);
  for (auto p = static_cast<size_t>(holder - own.ends.begin()); count > 0; ++p) {
    const TokenPiece& piece = own.pieces[p];
    const int64_t at = begin - (own.ends[p] - piece.count);
    const int64_t here = std::min(count, piece.count - at);
    if (piece.width == 2) {
      copy_piece<uint16_t>(piece, at, here, vocab_size_, out);
    } else {
      copy_piece<uint32_t>(piece, at, here, vocab_size_, out);
    }
    begin += here;
    count -= here;
    out += here;
  }
}

TokenId Tokens::operator[](int64_t index) const {
  TokenId id = 0;
  copy_to(index, 1, &id);
  return id;
}

void Tokens::copy(int64_t begin, int64_t count, int64_t* out) const {
  check_range(begin, count);
  copy_to(begin, count, out);
}

std::vector<TokenId> Tokens::slice(int64_t begin, int64_t count) const {
  check_range(begin, count);
  std::vector<TokenId> ids(static_cast<size_t>(count));
  copy_to(begin, count, ids.data());
  return ids;
}

int64_t Tokens::documents() const {
  auto count = static_cast<int64_t>(starts_.size());
  if (const auto* own = std::get_if<Pieces>(&ids_)) {
    for (const TokenPiece& piece : own->pieces) count += static_cast<int64_t>(piece.starts.size());
  }
  return count;
}

std::vector<int64_t> Tokens::document_starts(int64_t begin, int64_t end) const {
  const auto* own = std::get_if<Pieces>(&ids_);
  if (own == nullptr) {
    return {std::lower_bound(starts_.begin(), starts_.end(), begin),
            std::lower_bound(starts_.begin(), starts_.end(), end)};
  }
  std::vector<int64_t> starts;
  const auto holder = std::upper_bound(own->ends.begin(), own->ends.end(), begin);
  for (auto p = static_cast<size_t>(holder - own->ends.begin()); p < own->pieces.size(); ++p) {
    const TokenPiece& piece = own->pieces[p];
    const int64_t first = own->ends[p] - piece.count;
    if (first >= end) break;
    for (const uint64_t start : starts_in(piece, std::max<int64_t>(begin - first, 0),
                                          std::min(end - first, piece.count))) {
      starts.push_back(first + static_cast<int64_t>(start - piece.base));
    }
  }
  return starts;
}

}  // namespace heed::data
