#include "data/sentence_piece.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <queue>

#include "data/unicode.h"

namespace heed::data {
namespace {

using Type = SentencePieceModel::Type;

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

std::string without_marks(std::string_view text) {
  std::string plain;
  for (size_t at = 0; at < text.size();) {
    const bool mark = text.substr(at, kSpace.size()) == kSpace;
    plain += mark ? ' ' : text[at];
    at += mark ? kSpace.size() : 1;
  }
  return plain;
}

}  // namespace

SentencePieceTokenizer::SentencePieceTokenizer(SentencePieceModel model)
    : model_(std::move(model)) {
  // A user-defined symbol costs 0.1: the highest score is taken to be the least positive number at
  // least, and that of a piece is negative.
  float least = std::numeric_limits<float>::max(), most = std::numeric_limits<float>::min();
  for (const auto& piece : model_.pieces) {
    if (piece.type != Type::normal) continue;
    least = std::min(least, piece.score);
    most = std::max(most, piece.score);
  }
  std::vector<SpecialToken> specials;
  for (size_t i = 0; i < model_.pieces.size(); ++i) {
    const auto& piece = model_.pieces[i];
    const auto id = static_cast<TokenId>(i);
    tokens_.push_back(without_marks(piece.text));
    switch (piece.type) {
      case Type::unknown:
        unknown_ = id;
        tokens_.back() = model_.unknown_surface;
        break;
      case Type::control:
        tokens_.back() = piece.text;
        specials.push_back({piece.text, id});
        break;
      case Type::byte:
        tokens_.back() = std::string(1, *byte_of_name(piece.text));
        bytes_.add(tokens_.back()[0], id);
        break;
      case Type::user_defined:
        symbols_.add(piece.text, id);
        has_symbols_ = true;
        search_.add(piece.text, id, static_cast<double>(most), /*per_byte=*/true);
        by_text_.emplace(piece.text, id);
        break;
      case Type::unused:  // merged over, never left
        by_text_.emplace(piece.text, id);
        break;
      case Type::normal:
        search_.add(piece.text, id, static_cast<double>(piece.score));
        by_text_.emplace(piece.text, id);
        break;
    }
  }
  search_.set_unknown_score(
      static_cast<double>(least - static_cast<float>(UnigramSearch::kUnknownPenalty)));
  set_specials(std::move(specials));
  Frame frame(model_.start);
  if (!model_.finish.empty()) {
    if (frame.single.empty()) {
      frame.single.push_back({Frame::Part::Kind::first, 0, 0});
      frame.pair = {{Frame::Part::Kind::first, 0, 0}, {Frame::Part::Kind::second, 0, 1}};
    }
    for (const TokenId id : model_.finish) {
      frame.single.push_back({Frame::Part::Kind::token, id, 0});
      frame.pair.push_back({Frame::Part::Kind::token, id, 1});
    }
  }
  set_frame(std::move(frame));
}

size_t SentencePieceTokenizer::symbol_length(std::string_view text) const {
  size_t longest = 0;
  if (has_symbols_) {
    symbols_.for_each_prefix(text, [&](size_t length, int32_t) { longest = length; });
  }
  return longest;
}

std::string SentencePieceTokenizer::normalize(std::string_view text) const {
  const bool trims = model_.remove_extra_spaces;
  const std::string_view space = model_.escape_spaces ? kSpace : " ";
  // What the text begins with, as it becomes, and its bytes.
  const auto prefix = [&](std::string_view rest) -> std::pair<std::string_view, size_t> {
    if (const size_t symbol = symbol_length(rest)) return {rest.substr(0, symbol), symbol};
    if (const auto match = model_.charsmap.longest(rest)) return {match->becomes, match->length};
    const CodePoint c = code_point_at(rest, 0);
    if (c.value >= 0xDC80 && c.value <= 0xDCFF) return {kReplacement, 1};
    const auto bytes = static_cast<size_t>(c.bytes);
    return {rest.substr(0, bytes), bytes};
  };
  std::string made;
  while (trims && !text.empty()) {
    const auto [becomes, bytes] = prefix(text);
    if (becomes != " ") break;
    text.remove_prefix(bytes);
  }
  if (text.empty()) return made;
  made.reserve(text.size() + text.size() / 4 + 8);
  if (model_.dummy_prefix && !model_.space_behind) made += space;
  bool after_space = trims;
  while (!text.empty()) {
    auto [becomes, bytes] = prefix(text);
    text.remove_prefix(bytes);
    while (after_space && becomes.starts_with(' ')) becomes.remove_prefix(1);
    if (becomes.empty()) continue;
    for (const char c : becomes) {
      if (c == ' ') {
        made += space;
      } else {
        made += c;
      }
    }
    after_space = trims && becomes.back() == ' ';
  }
  while (trims && made.ends_with(space)) made.erase(made.size() - space.size());
  if (model_.dummy_prefix && model_.space_behind) made += space;
  return made;
}

void SentencePieceTokenizer::encode_piece(const Piece& piece, std::vector<TokenId>& ids) const {
  const std::string text = normalize(piece.text);
  if (text.empty()) return;
  if (model_.bpe) {
    encode_bpe(text, ids);
  } else {
    encode_unigram(text, ids);
  }
}

// Its bytes, or the unknown token; unknown characters that follow each other are one.
void SentencePieceTokenizer::append_unknown(std::string_view text, bool follows,
                                            std::vector<TokenId>& ids) const {
  if (model_.byte_fallback) {
    bytes_.append(text, ids);
  } else if (!follows) {
    ids.push_back(unknown_);
  }
}

void SentencePieceTokenizer::encode_unigram(const std::string& text,
                                            std::vector<TokenId>& ids) const {
  size_t begin = 0;
  bool unknown = false;
  for (const UnigramSearch::Cut& cut : search_.best(text, /*single_precision=*/true)) {
    if (cut.id == UnigramSearch::kUnknown) {
      append_unknown(std::string_view(text).substr(begin, cut.end - begin), unknown, ids);
    } else {
      ids.push_back(cut.id);
    }
    unknown = cut.id == UnigramSearch::kUnknown;
    begin = cut.end;
  }
}

// The two neighbours whose concatenation is the piece of the highest score become one, the leftmost
// among equals, until none is left; user-defined symbols stay whole. A piece that is not to be used
// is taken apart again.
void SentencePieceTokenizer::encode_bpe(const std::string& text, std::vector<TokenId>& ids) const {
  struct Symbol {
    size_t begin, size, previous, next;
    bool frozen;
  };
  struct Candidate {
    float score;
    size_t left, right, size;
    bool operator<(const Candidate& other) const {
      return score != other.score ? score < other.score : left > other.left;
    }
  };
  constexpr size_t kNone = std::numeric_limits<size_t>::max();
  const std::string_view whole = text;
  std::vector<Symbol> symbols;
  for (size_t at = 0; at < whole.size();) {
    const size_t symbol = symbol_length(whole.substr(at));
    const size_t size = symbol > 0 ? symbol : static_cast<size_t>(code_point_at(whole, at).bytes);
    const size_t own = symbols.size();
    symbols.push_back({at, size, own == 0 ? kNone : own - 1, own + 1, symbol > 0});
    at += size;
  }
  symbols.back().next = kNone;

  std::priority_queue<Candidate> candidates;
  std::unordered_map<std::string_view, size_t> taken_apart;  // where an unused piece is cut
  const auto offer = [&](size_t left, size_t right) {
    if (left == kNone || right == kNone) return;
    const Symbol &a = symbols[left], &b = symbols[right];
    if (a.frozen || b.frozen) return;
    const std::string_view merged = whole.substr(a.begin, a.size + b.size);
    const auto found = by_text_.find(merged);
    if (found == by_text_.end()) return;
    const auto& piece = model_.pieces[static_cast<size_t>(found->second)];
    candidates.push({piece.score, left, right, merged.size()});
    if (piece.type == Type::unused) taken_apart[merged] = a.size;
  };
  for (size_t i = 1; i < symbols.size(); ++i) offer(i - 1, i);
  while (!candidates.empty()) {
    const Candidate top = candidates.top();
    candidates.pop();
    Symbol &left = symbols[top.left], &right = symbols[top.right];
    if (left.size == 0 || right.size == 0 || left.size + right.size != top.size) continue;
    left.size = top.size;
    left.next = right.next;
    if (right.next != kNone) symbols[right.next].previous = top.left;
    right.size = 0;
    offer(left.previous, top.left);
    offer(top.left, left.next);
  }

  bool unknown = false;
  const std::function<void(std::string_view)> append = [&](std::string_view piece) {
    const auto found = by_text_.find(piece);
    const auto cut = taken_apart.find(piece);
    if (found == by_text_.end()) {
      append_unknown(piece, unknown, ids);
      unknown = true;
    } else if (model_.pieces[static_cast<size_t>(found->second)].type == Type::unused &&
               cut != taken_apart.end()) {
      append(piece.substr(0, cut->second));
      append(piece.substr(cut->second));
    } else {
      ids.push_back(found->second);
      unknown = false;
    }
  };
  for (size_t i = 0; i != kNone; i = symbols[i].next) {
    append(whole.substr(symbols[i].begin, symbols[i].size));
  }
}

std::string_view SentencePieceTokenizer::token(TokenId id) const {
  if (id < 0 || id >= vocab_size()) {
    fail_request("sentencepiece: token {} is outside the vocabulary of {}", id, vocab_size());
  }
  return tokens_[static_cast<size_t>(id)];
}

// The dummy prefix goes: of the first token that is text, or, where spaces are trimmed, of all that
// are nothing but spaces before it.
std::string SentencePieceTokenizer::decode(std::span<const TokenId> ids) const {
  const bool strips = model_.dummy_prefix || model_.remove_extra_spaces;
  std::string text;
  bool begins = true;
  for (const TokenId id : ids) {
    std::string_view piece = token(id);
    const Type type = model_.pieces[static_cast<size_t>(id)].type;
    if (begins && type != Type::control && type != Type::byte && type != Type::unknown) {
      const bool space = strips && model_.pieces[static_cast<size_t>(id)].text.starts_with(kSpace);
      if (space) piece.remove_prefix(1);
      begins = model_.remove_extra_spaces ? piece.empty() : !space && piece.empty();
    } else if (type != Type::control) {
      begins = false;
    }
    text += piece;
  }
  return text;
}

Config SentencePieceTokenizer::to_config() const { return write_sentence_piece(model_); }

}  // namespace heed::data
