#include "data/word_tokenizer.h"

#include <algorithm>

#include "data/unicode.h"

namespace heed::data {

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto finish = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  const auto is_word = [](int32_t c) {
    const CharClass kind = char_class(c);
    return kind == CharClass::letter || kind == CharClass::number;
  };
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    const size_t next = at + static_cast<size_t>(c.bytes);
    if (is_word(c.value)) {
      append_code_point(word, to_lower(c.value));
    } else if (c.value == '\'' && !word.empty() && next < text.size() &&
               is_word(code_point_at(text, next).value)) {
      word += '\'';
    } else {
      finish();
      if (char_class(c.value) != CharClass::space) words.emplace_back(text.substr(at, next - at));
    }
    at = next;
  }
  finish();
  return words;
}

WordTokenizer::WordTokenizer(std::vector<std::string> words) {
  set_specials({{"<pad>", kPadding}, {"<unk>", kUnknown}});
  words_ = {"<pad>", "<unk>"};
  for (std::string& word : words) {
    const auto id = static_cast<TokenId>(words_.size());
    if (word.empty() || !ids_.emplace(word, id).second) {
      fail_request("words: '{}' is {}", word, word.empty() ? "empty" : "given twice");
    }
    words_.push_back(fmt::format(" {}", word));
  }
}

WordTokenizer WordTokenizer::from_texts(const std::vector<std::string_view>& texts,
                                        int64_t min_count, int64_t vocab_size) {
  HEED_CHECK(vocab_size >= 2, "words: a vocabulary of {}", vocab_size);
  std::unordered_map<std::string, int64_t> counts;
  for (const std::string_view text : texts) {
    for (const std::string& word : split_words(text)) ++counts[word];
  }
  std::vector<std::pair<int64_t, std::string>> order;
  for (const auto& [word, count] : counts) {
    if (count >= min_count) order.emplace_back(-count, word);
  }
  std::sort(order.begin(), order.end());
  if (static_cast<int64_t>(order.size()) > vocab_size - 2) {
    order.resize(static_cast<size_t>(vocab_size - 2));
  }
  std::vector<std::string> words;
  for (auto& [count, word] : order) words.push_back(std::move(word));
  return WordTokenizer(std::move(words));
}

void WordTokenizer::encode_piece(const Piece& piece, std::vector<TokenId>& ids) const {
  const std::string_view text = piece.text;
  for (const std::string& word : split_words(text)) {
    const auto found = ids_.find(word);
    ids.push_back(found == ids_.end() ? kUnknown : found->second);
  }
}

std::string_view WordTokenizer::token(TokenId id) const {
  if (id < 0 || id >= vocab_size()) {
    fail_request("words: token {} is outside the vocabulary of {}", id, vocab_size());
  }
  return words_[static_cast<size_t>(id)];
}

Config WordTokenizer::to_config() const {
  Config::List words;
  for (size_t i = 2; i < words_.size(); ++i) words.emplace_back(words_[i].substr(1));
  return Config::Map{{"version", "1.0"}, {"type", "words"}, {"words", std::move(words)}};
}

std::unique_ptr<Tokenizer> parse_words(const Config& document) {
  std::vector<std::string> words;
  for (const Config& word : document.at("words").as_list()) words.push_back(word.as_string());
  return std::make_unique<WordTokenizer>(std::move(words));
}

}  // namespace heed::data
