#include "data/bpe.h"

#include <algorithm>
#include <unordered_map>

#include "data/byte_level.h"
#include "data/pretokenize.h"
#include "data/repeated_words.h"
#include "data/tokenizer_layout.h"
#include "data/unicode.h"

namespace heed::data {
namespace {

// As `tokenizers` writes them: an expression of its own in front of ByteLevel, which has GPT-2's.
template <class ByteLevel>
Config pre_tokenizer(const WordSplit& words, const ByteLevel& byte_level) {
  Config::List parts;
  if (words.single_digits) {
    parts.push_back(Config::Map{{"type", "Digits"}, {"individual_digits", true}});
  }
  const char* regex = regex_of(words.pattern);
  if (regex != nullptr) {
    parts.push_back(Config::Map{{"type", "Split"},
                                {"pattern", Config::Map{{"Regex", regex}}},
                                {"behavior", "Isolated"},
                                {"invert", false}});
  }
  if (parts.empty()) return byte_level();
  parts.push_back(byte_level(regex == nullptr));
  return Config::Map{{"type", "Sequence"}, {"pretokenizers", parts}};
}

}  // namespace

BpeTokenizer::BpeTokenizer(std::vector<std::string> tokens, std::vector<Pair> merges,
                           std::vector<SpecialToken> specials, BpeStyle style)
    : tokens_(std::move(tokens)),
      merges_(std::move(merges)),
      by_pair_(merges_.size()),
      style_(std::move(style)) {
  set_specials(std::move(specials));
  set_frame(style_.frame);
  std::unordered_map<std::string_view, TokenId> by_bytes;
  for (size_t id = 0; id < tokens_.size(); ++id) {
    if (is_special(static_cast<TokenId>(id))) continue;
    if (!by_bytes.emplace(tokens_[id], static_cast<TokenId>(id)).second) {
      fail_request("bpe: the token '{}' is in the vocabulary twice", to_byte_level(tokens_[id]));
    }
  }
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    const auto found = by_bytes.find(std::string_view(&byte, 1));
    if (found == by_bytes.end()) fail_request("bpe: the vocabulary has no token for byte {}", b);
    byte_tokens_.push_back(found->second);
  }
  if (style_.ignore_merges) {
    for (const auto& [bytes, id] : by_bytes) whole_words_.emplace(bytes, id);
  }
  for (size_t rank = 0; rank < merges_.size(); ++rank) {
    const auto [left, right] = merges_[rank];
    const std::string whole = std::string(token(left)).append(token(right));
    const auto found = by_bytes.find(whole);
    if (found == by_bytes.end()) {
      fail_request("bpe: merge {} makes '{}', which is not in the vocabulary", rank + 1,
                   to_byte_level(whole));
    }
    by_pair_.add({left, right}, found->second);
  }
}

std::string_view BpeTokenizer::token(TokenId id) const {
  if (id < 0 || id >= vocab_size()) {
    fail_request("bpe: token {} is outside the vocabulary of {}", id, vocab_size());
  }
  return tokens_[static_cast<size_t>(id)];
}

void BpeTokenizer::encode_piece(const Piece& piece, std::vector<TokenId>& ids) const {
  const std::string composed = style_.composed ? compose(piece.text) : std::string();
  const std::string_view text = style_.composed ? composed : piece.text;
  ids.reserve(ids.size() + text.size() / 4);
  RepeatedWords words(ids);
  for_each_word(text, style_.words, [&](std::string_view word) {
    words.append(word,
                 [this](std::string_view w, std::vector<TokenId>& out) { encode_word(w, out); });
  });
}

void BpeTokenizer::encode_word(std::string_view word, std::vector<TokenId>& ids) const {
  if (style_.ignore_merges) {
    const auto whole = whole_words_.find(word);
    if (whole != whole_words_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  std::vector<TokenId> symbols;
  symbols.reserve(word.size());
  for (const char b : word) symbols.push_back(byte_tokens_[static_cast<unsigned char>(b)]);
  by_pair_.apply(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

Config BpeTokenizer::to_config() const {
  Config merges = Config::list();
  Config::Map entries;
  for (size_t id = 0; id < tokens_.size(); ++id) {
    const bool special = is_special(static_cast<TokenId>(id));
    entries.emplace_back(special ? tokens_[id] : to_byte_level(tokens_[id]),
                         static_cast<int64_t>(id));
  }
  for (const auto& [left, right] : merges_) {
    merges.append(to_byte_level(token(left)) + " " + to_byte_level(token(right)));
  }
  const auto byte_level = [](bool use_regex = true) {
    return Config::Map{{"type", "ByteLevel"},
                       {"add_prefix_space", false},
                       {"trim_offsets", true},
                       {"use_regex", use_regex}};
  };
  Config::Map model{{"type", "BPE"},
                    {"dropout", Config()},
                    {"unk_token", Config()},
                    {"continuing_subword_prefix", ""},
                    {"end_of_word_suffix", ""},
                    {"fuse_unk", false},
                    {"byte_fallback", false},
                    {"ignore_merges", style_.ignore_merges},
                    {"vocab", std::move(entries)},
                    {"merges", std::move(merges)}};
  return Config::Map{
      {"version", "1.0"},
      {"truncation", Config()},
      {"padding", Config()},
      {"added_tokens", layout::added_tokens(*this)},
      {"normalizer", style_.composed ? Config(Config::Map{{"type", "NFC"}}) : Config()},
      {"pre_tokenizer", pre_tokenizer(style_.words, byte_level)},
      {"post_processor", frame().empty() ? Config(byte_level()) : layout::framed_by(*this)},
      {"decoder", byte_level()},
      {"model", std::move(model)}};
}

}  // namespace heed::data
