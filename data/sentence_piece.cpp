#include "data/sentence_piece.h"

#include <algorithm>
#include <limits>
#include <optional>
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

// Byte-pair encoding as SentencePiece has it: the two neighbours whose concatenation is the piece
// of the highest score become one, the leftmost among equals, until none is left. A piece that is
// not to be used is taken apart again.
class PairMerging {
 public:
  using ByText = std::unordered_map<std::string_view, TokenId>;

  PairMerging(std::string_view text, const std::vector<SentencePieceModel::Piece>& pieces,
              const ByText& by_text)
      : text_(text), pieces_(pieces), by_text_(by_text) {}

  /// The next symbol of the text; a `frozen` one stays whole.
  void add(size_t begin, size_t size, bool frozen) {
    const size_t own = symbols_.size();
    symbols_.push_back({begin, size, own == 0 ? kNone : own - 1, kNone, frozen});
    if (own > 0) symbols_[own - 1].next = own;
  }

  void run() {
    for (size_t i = 1; i < symbols_.size(); ++i) offer(i - 1, i);
    while (!candidates_.empty()) {
      const Candidate top = candidates_.top();
      candidates_.pop();
      Symbol &left = symbols_[top.left], &right = symbols_[top.right];
      if (left.size == 0 || right.size == 0 || left.size + right.size != top.size) continue;
      left.size = top.size;
      left.next = right.next;
      if (right.next != kNone) symbols_[right.next].previous = top.left;
      right.size = 0;
      offer(left.previous, top.left);
      offer(top.left, left.next);
    }
  }

  /// Calls fn(text, its id or nothing where it is unknown) in order.
  template <class Fn>
  void for_each_piece(Fn&& fn) const {
    std::vector<std::string_view> waiting;  // the next one last
    for (size_t i = symbols_.empty() ? kNone : 0; i != kNone; i = symbols_[i].next) {
      waiting.push_back(text_.substr(symbols_[i].begin, symbols_[i].size));
      while (!waiting.empty()) {
        const std::string_view piece = waiting.back();
        waiting.pop_back();
        const auto found = by_text_.find(piece);
        const auto cut = taken_apart_.find(piece);
        if (found == by_text_.end()) {
          fn(piece, std::optional<TokenId>());
        } else if (is_unused(found->second) && cut != taken_apart_.end()) {
          waiting.push_back(piece.substr(cut->second));
          waiting.push_back(piece.substr(0, cut->second));
        } else {
          fn(piece, std::optional<TokenId>(found->second));
        }
      }
    }
  }

 private:
  static constexpr size_t kNone = std::numeric_limits<size_t>::max();
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

  bool is_unused(TokenId id) const { return pieces_[static_cast<size_t>(id)].type == Type::unused; }

  void offer(size_t left, size_t right) {
    if (left == kNone || right == kNone) return;
    const Symbol &a = symbols_[left], &b = symbols_[right];
    if (a.frozen || b.frozen) return;
    const std::string_view merged = text_.substr(a.begin, a.size + b.size);
    const auto found = by_text_.find(merged);
    if (found == by_text_.end()) return;
    const float score = pieces_[static_cast<size_t>(found->second)].score;
    candidates_.push({score, left, right, merged.size()});
    if (is_unused(found->second)) taken_apart_[merged] = a.size;
  }

  std::string_view text_;
  const std::vector<SentencePieceModel::Piece>& pieces_;
  const ByText& by_text_;
  std::vector<Symbol> symbols_;
  std::priority_queue<Candidate> candidates_;
  std::unordered_map<std::string_view, size_t> taken_apart_;  // where an unused piece is cut
};

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

void SentencePieceTokenizer::encode_bpe(const std::string& text, std::vector<TokenId>& ids) const {
  const std::string_view whole = text;
  PairMerging merging(whole, model_.pieces, by_text_);
  for (size_t at = 0; at < whole.size();) {
    const size_t symbol = symbol_length(whole.substr(at));
    const size_t size = symbol > 0 ? symbol : static_cast<size_t>(code_point_at(whole, at).bytes);
    merging.add(at, size, symbol > 0);
    at += size;
  }
  merging.run();
  bool unknown = false;
  merging.for_each_piece([&](std::string_view piece, std::optional<TokenId> id) {
    if (id) {
      ids.push_back(*id);
    } else {
      append_unknown(piece, unknown, ids);
    }
    unknown = !id;
  });
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
