#include "data/char_tokenizer.h"

#include <algorithm>

#include "data/unicode.h"

namespace heed::data {

CharTokenizer::CharTokenizer(const std::vector<int32_t>& code_points) : code_points_(code_points) {
  if (code_points.empty()) fail_request("chars: the vocabulary is empty");
  for (size_t id = 0; id < code_points.size(); ++id) {
    const int32_t c = code_points[id];
    if (!is_code_point(c)) fail_request("chars: {} is not a code point", c);
    TokenId& slot = ids_[static_cast<uint64_t>(c)];
    if (slot != 0) fail_request("chars: {} is listed twice", describe_code_point(c));
    slot = static_cast<TokenId>(id) + 1;
    append_code_point(bytes_.emplace_back(), c);
  }
}

void CharTokenizer::encode_piece(const Piece& piece, std::vector<TokenId>& ids) const {
  const std::string_view text = piece.text;
  ids.reserve(ids.size() + text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    const TokenId* id = ids_.find(static_cast<uint64_t>(c.value));
    if (id == nullptr) {
      fail_request("chars: {} at byte {} is not among the vocabulary's {} characters",
                   describe_code_point(c.value), at, vocab_size());
    }
    ids.push_back(*id - 1);
    at += static_cast<size_t>(c.bytes);
  }
}

std::string_view CharTokenizer::token(TokenId id) const {
  if (id < 0 || id >= vocab_size()) {
    fail_request("chars: token {} is outside the vocabulary of {}", id, vocab_size());
  }
  return bytes_[static_cast<size_t>(id)];
}

Config CharTokenizer::to_config() const {
  Config::List code_points;
  for (const int32_t c : code_points_) code_points.emplace_back(int64_t{c});
  return Config::Map{
      {"version", "1.0"}, {"type", "chars"}, {"code_points", std::move(code_points)}};
}

CharTokenizer CharTokenizer::from_texts(const std::vector<std::string_view>& texts) {
  FlatMap<char> seen;
  std::vector<int32_t> code_points;
  for (const std::string_view text : texts) {
    for (size_t at = 0; at < text.size();) {
      const CodePoint c = code_point_at(text, at);
      at += static_cast<size_t>(c.bytes);
      char& known = seen[static_cast<uint64_t>(c.value)];
      if (known == 0) code_points.push_back(c.value);
      known = 1;
    }
  }
  std::sort(code_points.begin(), code_points.end());
  return CharTokenizer(code_points);
}

}  // namespace heed::data
