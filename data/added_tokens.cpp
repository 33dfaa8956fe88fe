#include "data/added_tokens.h"

#include "data/unicode.h"

namespace heed::data {
namespace {

bool is_space_at(std::string_view text, size_t at) {
  return char_class(code_point_at(text, at).value) == CharClass::space;
}

// The start of the character that ends at `end` > 0.
size_t last_character(std::string_view text, size_t end) {
  return floor_to_character(text.substr(0, end), end - 1);
}

bool word_ends_at(std::string_view text, size_t end) {
  return end > 0 && is_word_character(code_point_at(text, last_character(text, end)).value);
}

bool word_begins_at(std::string_view text, size_t begin) {
  return begin < text.size() && is_word_character(code_point_at(text, begin).value);
}

}  // namespace

AddedTokens::AddedTokens(std::vector<SpecialToken> tokens) : tokens_(std::move(tokens)) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i].text.empty()) continue;
    trie_.add(tokens_[i].text, static_cast<int32_t>(i));
    begins_[static_cast<unsigned char>(tokens_[i].text[0])] = true;
  }
}

AddedTokens::Match AddedTokens::match_at(std::string_view text, size_t at, size_t done,
                                         bool with_specials) const {
  Match match{nullptr, at, at + 1};
  if (!begins_[static_cast<unsigned char>(text[at])]) return match;
  trie_.for_each_prefix(text.substr(at), [&](size_t length, int32_t value) {
    match = {&tokens_[static_cast<size_t>(value)], at, at + length};
  });
  if (match.token == nullptr) return match;
  const bool touched = match.token->single_word &&
                       (word_ends_at(text, match.begin) || word_begins_at(text, match.end));
  if (touched || (match.token->special && !with_specials)) return {nullptr, at, match.end};
  while (match.token->lstrip && match.begin > done) {
    const size_t before = last_character(text, match.begin);
    if (before < done || !is_space_at(text, before)) break;
    match.begin = before;
  }
  while (match.token->rstrip && match.end < text.size() && is_space_at(text, match.end)) {
    match.end += static_cast<size_t>(code_point_at(text, match.end).bytes);
  }
  return match;
}

}  // namespace heed::data
