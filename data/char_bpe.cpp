#include "data/char_bpe.h"

#include <algorithm>

#include "data/repeated_words.h"
#include "data/unicode.h"

namespace heed::data {
namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581

/// The end of the word at `begin`: marks, and what follows up to the next one.
size_t word_end(std::string_view text, size_t begin) {
  while (text.substr(begin).starts_with(kMark)) begin += kMark.size();
  return std::min(text.find(kMark, begin), text.size());
}

}  // namespace

CharBpe::CharBpe(std::vector<Entry> vocab, const std::vector<SpecialToken>& specials,
                 std::vector<Merges::Pair> merges, CharBpeOptions options)
    : vocab_(std::move(vocab)),
      pairs_(std::move(merges)),
      options_(options),
      merges_(pairs_.size()) {
  has_words_ = true;
  std::vector<const std::string*> by_id;
  for (const auto& [text, id] : vocab_) {
    by_text_.emplace(text, id);
    if (const auto byte = byte_of_name(text)) bytes_.add(*byte, id);
    if (by_id.size() <= static_cast<size_t>(id)) by_id.resize(static_cast<size_t>(id) + 1);
    by_id[static_cast<size_t>(id)] = &text;
  }
  for (const auto& [left, right] : pairs_) {
    const std::string whole =
        *by_id[static_cast<size_t>(left)] + *by_id[static_cast<size_t>(right)];
    const auto found = by_text_.find(whole);
    if (found == by_text_.end()) {
      fail_request("bpe: a merge makes '{}', which is not in the vocabulary", whole);
    }
    merges_.add({left, right}, found->second);
    has_words_ = has_words_ && word_end(whole, 0) == whole.size();
  }
  for (const SpecialToken& token : specials) {
    if (token.special) by_text_.erase(token.text);
  }
  has_words_ = has_words_ && by_text_.contains(kMark);  // a run of unknown ones ends at marks
}

void CharBpe::encode(std::string_view piece, std::vector<TokenId>& ids) const {
  if (options_.ignore_merges) {
    if (const auto whole = by_text_.find(piece); whole != by_text_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  if (!has_words_ || word_end(piece, 0) == piece.size()) return encode_word(piece, ids);
  RepeatedWords words(ids);
  for (size_t at = 0, end = 0; at < piece.size(); at = end) {
    end = word_end(piece, at);
    words.append(piece.substr(at, end - at),
                 [this](std::string_view w, std::vector<TokenId>& out) { encode_word(w, out); });
  }
}

void CharBpe::encode_word(std::string_view word, std::vector<TokenId>& ids) const {
  std::vector<TokenId> symbols;
  symbols.reserve(word.size());
  bool unknown = false;  // whether the last symbol is
  for_each_code_point(word, [&](int32_t c, std::string_view bytes) {
    if (const auto known = by_text_.find(bytes); known != by_text_.end()) {
      symbols.push_back(known->second);
      unknown = false;
      return;
    }
    if (options_.byte_fallback && bytes_.append(bytes, symbols)) {
      unknown = false;
      return;
    }
    if (options_.unknown < 0) {
      fail_request("bpe: {} is not in the vocabulary, which has no unknown token",
                   describe_code_point(c));
    }
    if (!(unknown && options_.fuse_unknown)) symbols.push_back(options_.unknown);
    unknown = true;
  });
  merges_.apply(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

void CharBpe::write(Config& model) const {
  Config::Map entries;
  Config::List merges;
  std::vector<const std::string*> by_id;
  for (const auto& [text, id] : vocab_) {
    entries.emplace_back(text, int64_t{id});
    if (by_id.size() <= static_cast<size_t>(id)) by_id.resize(static_cast<size_t>(id) + 1);
    by_id[static_cast<size_t>(id)] = &text;
  }
  for (const auto& [left, right] : pairs_) {
    merges.push_back(
        Config::List{*by_id[static_cast<size_t>(left)], *by_id[static_cast<size_t>(right)]});
  }
  model.set("vocab", std::move(entries));
  model.set("merges", std::move(merges));
}

}  // namespace heed::data
