#include "data/sentence_bpe.h"

#include "data/tokenizer_layout.h"
#include "data/unicode.h"

namespace heed::data {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581

// "<0x0A>" stands for a byte.
std::string name_of_byte(int byte) { return fmt::format("<0x{:02X}>", byte); }

// U+2581 for every space.
std::string with_marks(std::string_view text) {
  std::string marked;
  for (const char c : text) {
    if (c == ' ') {
      marked += kSpace;
    } else {
      marked += c;
    }
  }
  return marked;
}

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

SentenceBpeTokenizer::SentenceBpeTokenizer(std::vector<std::string> tokens,
                                           std::vector<Merges::Pair> merges,
                                           std::vector<SpecialToken> specials,
                                           SentenceBpeStyle style)
    : written_(std::move(tokens)),
      pairs_(std::move(merges)),
      merges_(pairs_.size()),
      style_(std::move(style)) {
  specials_ = std::move(specials);
  start_ = style_.start;
  leading_space_ = true;
  for (size_t id = 0; id < written_.size(); ++id) {
    const auto own = static_cast<TokenId>(id);
    tokens_.push_back(is_special(own) ? written_[id] : without_marks(written_[id]));
    if (is_special(own)) continue;
    if (!by_text_.emplace(written_[id], own).second) {
      fail_request("bpe: the token '{}' is in the vocabulary twice", written_[id]);
    }
  }
  for (int byte = 0; byte < 256; ++byte) {
    const auto found = by_text_.find(name_of_byte(byte));
    if (found == by_text_.end()) {
      fail_request("bpe: the vocabulary has no token {}", name_of_byte(byte));
    }
    byte_tokens_.push_back(found->second);
    tokens_[static_cast<size_t>(found->second)] = std::string(1, static_cast<char>(byte));
  }
  for (const auto& [left, right] : pairs_) {
    const std::string whole =
        written_[static_cast<size_t>(left)] + written_[static_cast<size_t>(right)];
    const auto found = by_text_.find(whole);
    if (found == by_text_.end()) {
      fail_request("bpe: a merge makes '{}', which is not in the vocabulary", whole);
    }
    merges_.add({left, right}, found->second);
  }
}

std::string_view SentenceBpeTokenizer::token(TokenId id) const {
  if (id < 0 || id >= vocab_size()) {
    fail_request("bpe: token {} is outside the vocabulary of {}", id, vocab_size());
  }
  return tokens_[static_cast<size_t>(id)];
}

void SentenceBpeTokenizer::encode(std::string_view text, std::vector<TokenId>& ids) const {
  if (text.empty()) return;
  std::string marked = with_marks(text);
  if (style_.always_prefixed || !marked.starts_with(kSpace)) marked.insert(0, kSpace);
  std::vector<TokenId> symbols;
  for (size_t at = 0; at < marked.size();) {
    const auto bytes = static_cast<size_t>(code_point_at(marked, at).bytes);
    const auto known = by_text_.find(marked.substr(at, bytes));
    if (known != by_text_.end()) {
      symbols.push_back(known->second);
    } else {
      for (size_t i = at; i < at + bytes; ++i) {
        symbols.push_back(byte_tokens_[static_cast<unsigned char>(marked[i])]);
      }
    }
    at += bytes;
  }
  merges_.apply(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

Config SentenceBpeTokenizer::to_config() const {
  const std::string space(kSpace);
  Config normalizer, pre_tokenizer;
  if (style_.always_prefixed) {
    normalizer = Config::Map{
        {"type", "Sequence"},
        {"normalizers", Config::List{Config::Map{{"type", "Prepend"}, {"prepend", space}},
                                     Config::Map{{"type", "Replace"},
                                                 {"pattern", Config::Map{{"String", " "}}},
                                                 {"content", space}}}}};
  } else {
    pre_tokenizer = Config::Map{{"type", "Metaspace"},
                                {"replacement", space},
                                {"prepend_scheme", "first"},
                                {"split", false}};
  }
  const Config decoder = Config::Map{
      {"type", "Sequence"},
      {"decoders",
       Config::List{
           Config::Map{
               {"type", "Replace"}, {"pattern", Config::Map{{"String", space}}}, {"content", " "}},
           Config::Map{{"type", "ByteFallback"}}, Config::Map{{"type", "Fuse"}},
           Config::Map{{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}};
  Config vocab = Config::map(), merges = Config::list();
  for (size_t id = 0; id < written_.size(); ++id) {
    vocab.add(written_[id], static_cast<int64_t>(id));
  }
  for (const auto& [left, right] : pairs_) {
    merges.append(fmt::format("{} {}", written_[static_cast<size_t>(left)],
                              written_[static_cast<size_t>(right)]));
  }
  Config model = Config::Map{{"type", "BPE"},
                             {"dropout", Config()},
                             {"unk_token", Config()},
                             {"continuing_subword_prefix", Config()},
                             {"end_of_word_suffix", Config()},
                             {"fuse_unk", true},
                             {"byte_fallback", true},
                             {"ignore_merges", false},
                             {"vocab", vocab},
                             {"merges", merges}};
  return Config::Map{{"version", "1.0"},
                     {"truncation", Config()},
                     {"padding", Config()},
                     {"added_tokens", layout::added_tokens(*this)},
                     {"normalizer", normalizer},
                     {"pre_tokenizer", pre_tokenizer},
                     {"post_processor", start_.empty() ? Config() : layout::starting_with(*this)},
                     {"decoder", decoder},
                     {"model", model}};
}

}  // namespace heed::data
