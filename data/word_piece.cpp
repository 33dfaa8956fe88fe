#include "data/word_piece.h"

#include <unordered_set>

#include "data/unicode.h"

namespace heed::data {
namespace {

bool is_longer(std::string_view word, int64_t most) {
  if (std::ssize(word) <= most) return false;
  int64_t characters = 0;
  for_each_code_point(word, [&](int32_t, std::string_view) { ++characters; });
  return characters > most;
}

}  // namespace

WordPiece::WordPiece(std::vector<Entry> vocab, const std::vector<SpecialToken>& specials,
                     WordPieceOptions options)
    : vocab_(std::move(vocab)), options_(std::move(options)) {
  std::unordered_set<TokenId> of_no_word;
  for (const SpecialToken& token : specials) {
    if (token.special) of_no_word.insert(token.id);
  }
  bool has_unknown = false;
  for (const auto& [text, id] : vocab_) {
    if (text == options_.unknown) {
      unknown_ = id;
      has_unknown = true;
    }
    if (!of_no_word.contains(id) && !text.empty()) trie_.add(text, id);
  }
  if (!has_unknown) {
    fail_request("word_piece: the vocabulary has no '{}'", options_.unknown);
  }
  within_word_ = trie_.walk(options_.prefix);
}

void WordPiece::encode(std::string_view piece, std::vector<TokenId>& ids) const {
  const size_t before = ids.size();
  bool whole = !is_longer(piece, options_.longest_word);
  for (size_t at = 0; whole && at < piece.size();) {
    int32_t node = at == 0 ? Trie::kRoot : within_word_;
    TokenId best = Trie::kNone;
    size_t end = at;
    for (size_t i = at; i < piece.size() && node != Trie::kNone; ++i) {
      node = trie_.step(node, piece[i]);
      if (node == Trie::kNone || trie_.value(node) == Trie::kNone) continue;
      best = trie_.value(node);
      end = i + 1;
    }
    whole = best != Trie::kNone;
    ids.push_back(best);
    at = end;
  }
  if (whole) return;
  ids.resize(before);
  ids.push_back(unknown_);
}

void WordPiece::write(Config& model) const {
  Config::Map entries;
  for (const auto& [text, id] : vocab_) entries.emplace_back(text, int64_t{id});
  model.set("vocab", std::move(entries));
}

}  // namespace heed::data
