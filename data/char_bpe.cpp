#include "data/char_bpe.h"

#include "data/unicode.h"

namespace heed::data {

CharBpe::CharBpe(std::vector<Entry> vocab, const std::vector<SpecialToken>& specials,
                 std::vector<Merges::Pair> merges, CharBpeOptions options)
    : vocab_(std::move(vocab)),
      pairs_(std::move(merges)),
      options_(options),
      merges_(pairs_.size()) {
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
  }
  for (const SpecialToken& token : specials) {
    if (token.special) by_text_.erase(token.text);
  }
}

void CharBpe::encode(std::string_view piece, std::vector<TokenId>& ids) const {
  if (options_.ignore_merges) {
    if (const auto whole = by_text_.find(std::string(piece)); whole != by_text_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  std::vector<TokenId> symbols;
  symbols.reserve(piece.size());
  bool unknown = false;  // whether the last symbol is
  for_each_code_point(piece, [&](int32_t c, std::string_view bytes) {
    if (const auto known = by_text_.find(std::string(bytes)); known != by_text_.end()) {
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
