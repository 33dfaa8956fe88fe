#include "data/byte_tokenizer.h"

#include <array>

namespace heed::data {
namespace {

constexpr std::array<char, 256> all_bytes() {
  std::array<char, 256> bytes{};
  for (size_t b = 0; b < 256; ++b) bytes[b] = static_cast<char>(static_cast<unsigned char>(b));
  return bytes;
}

constexpr std::array<char, 256> kBytes = all_bytes();
constexpr TokenId kEnd = 256;

}  // namespace

ByteTokenizer::ByteTokenizer() { set_specials({{kEndOfText, kEnd}}); }

void ByteTokenizer::encode_piece(const Piece& piece, std::vector<TokenId>& ids) const {
  const std::string_view text = piece.text;
  ids.reserve(ids.size() + text.size());
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
}

std::string_view ByteTokenizer::token(TokenId id) const {
  if (id == kEnd) return kEndOfText;
  if (id < 0 || id > kEnd) fail_request("bytes: token {} is outside the vocabulary of 257", id);
  return {&kBytes[static_cast<size_t>(id)], 1};
}

Config ByteTokenizer::to_config() const {
  Config added = Config::list();
  added.append(Config::Map{{"id", int64_t{kEnd}}, {"content", kEndOfText}, {"special", true}});
  return Config::Map{{"version", "1.0"}, {"type", "bytes"}, {"added_tokens", std::move(added)}};
}

}  // namespace heed::data
