// Reading tokenizer.json: our own "bytes", "chars" and "words", and byte-level BPE as `tokenizers`
// writes it. Whatever would make another tokenization than the file's author meant is refused by
// name.
#include <algorithm>
#include <filesystem>
#include <limits>
#include <unordered_map>

#include "core/files.h"
#include "data/bpe.h"
#include "data/byte_level.h"
#include "data/byte_tokenizer.h"
#include "data/char_tokenizer.h"
#include "data/tokenizer.h"
#include "data/word_tokenizer.h"

namespace heed::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLargestVocab = int64_t{1} << 24;

using Ids = std::unordered_map<std::string, TokenId>;  // by the written form of a token

TokenId read_id(const Config& value) {
  const int64_t id = value.as_integer();
  if (id < 0 || id >= kLargestVocab) {
    fail_request(value.where(), fmt::format("token id {} is outside [0, {})", id, kLargestVocab));
  }
  return static_cast<TokenId>(id);
}

// The member when it is there and not null.
const Config* given(const Config& config, const char* key) {
  const Config* value = config.find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

// Refuses a member that is there with another value than the one that changes nothing.
void expect_neutral(const Config& config, const char* key, const Config& neutral) {
  const Config* value = given(config, key);
  if (value != nullptr && !(*value == neutral)) {
    fail_request(value->where(),
                 fmt::format("tokenizer: \"{}\": {} is not supported (byte-level BPE has {})", key,
                             value->to_json(), neutral.to_json()));
  }
}

void expect_byte_level(const Config& document, const char* key, bool required) {
  const Config* part = given(document, key);
  if (part == nullptr) {
    if (!required) return;
    fail_request(document.where(), fmt::format("tokenizer: a byte-level BPE needs \"{}\": "
                                               "{{\"type\": \"ByteLevel\"}}, here it is null",
                                               key));
  }
  const std::string& type = part->at("type").as_string();
  if (type != "ByteLevel") {
    fail_request(part->where(), fmt::format("tokenizer: \"{}\" of type {} is not supported "
                                            "(known: ByteLevel)",
                                            key, type));
  }
}

std::vector<SpecialToken> read_specials(const Config& document) {
  std::vector<SpecialToken> specials;
  const Config* added = given(document, "added_tokens");
  if (added == nullptr) return specials;
  for (const Config& entry : added->as_list()) {
    for (const char* flag : {"single_word", "lstrip", "rstrip"}) {
      expect_neutral(entry, flag, false);
    }
    const std::string& text = entry.at("content").as_string();
    if (text.empty()) fail_request(entry.where(), "tokenizer: an added token is empty");
    const TokenId id = read_id(entry.at("id"));
    for (const SpecialToken& other : specials) {
      if (other.id == id || other.text == text) {
        fail_request(entry.where(),
                     fmt::format("tokenizer: the added token '{}' is there twice", text));
      }
    }
    specials.push_back({text, id});
  }
  return specials;
}

Ids read_vocab(const Config& vocab) {
  Ids ids;
  for (const auto& [text, id] : vocab.as_map()) ids.emplace(text, read_id(id));
  return ids;
}

// The tokens' bytes in the order of their ids, which must leave no hole.
std::vector<std::string> tokens_in_order(const Ids& vocab,
                                         const std::vector<SpecialToken>& specials,
                                         const SourceLocation& where) {
  TokenId largest = -1;
  for (const auto& [text, id] : vocab) largest = std::max(largest, id);
  for (const SpecialToken& special : specials) largest = std::max(largest, special.id);
  const size_t size = static_cast<size_t>(largest) + 1;
  if (size > vocab.size() + specials.size()) {
    fail_request(where, fmt::format("tokenizer: ids go up to {}, but there are only {} tokens",
                                    largest, vocab.size() + specials.size()));
  }
  std::vector<std::string> tokens(size);
  std::vector<char> known(size, 0);
  const auto put = [&](TokenId id, std::string bytes) {
    tokens[static_cast<size_t>(id)] = std::move(bytes);
    known[static_cast<size_t>(id)] = 1;
  };
  for (const auto& [text, id] : vocab) {
    if (known[static_cast<size_t>(id)] != 0) {
      fail_request(where, fmt::format("tokenizer: two tokens have the id {}", id));
    }
    std::optional<std::string> bytes = from_byte_level(text);
    const bool special = std::any_of(specials.begin(), specials.end(),
                                     [id = id](const auto& s) { return s.id == id; });
    if (!bytes && !special) {
      fail_request(where, fmt::format("tokenizer: the token '{}' is not byte-level", text));
    }
    put(id, special ? text : std::move(*bytes));
  }
  for (const SpecialToken& special : specials) {
    const auto in_vocab = vocab.find(special.text);
    const bool same = in_vocab != vocab.end() && in_vocab->second == special.id;
    const bool clash = in_vocab != vocab.end() || known[static_cast<size_t>(special.id)] != 0;
    if (clash && !same) {
      fail_request(where, fmt::format("tokenizer: the added token '{}' with id {} contradicts the "
                                      "vocabulary",
                                      special.text, special.id));
    }
    put(special.id, special.text);
  }
  for (size_t id = 0; id < size; ++id) {
    if (known[id] == 0) fail_request(where, fmt::format("tokenizer: no token has the id {}", id));
  }
  return tokens;
}

TokenId find_part(const Ids& vocab, const std::string& text, const SourceLocation& where) {
  const auto found = vocab.find(text);
  if (found == vocab.end()) {
    fail_request(
        where, fmt::format("tokenizer: a merge needs '{}', which is not in the vocabulary", text));
  }
  return found->second;
}

BpeTokenizer::Pair parse_merge(const Ids& vocab, const std::string& text,
                               const SourceLocation& where) {
  const size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
    fail_request(where,
                 fmt::format("tokenizer: a merge is two tokens and a space, not '{}'", text));
  }
  return {find_part(vocab, text.substr(0, space), where),
          find_part(vocab, text.substr(space + 1), where)};
}

std::vector<BpeTokenizer::Pair> read_merges(const Ids& vocab, const Config& merges) {
  std::vector<BpeTokenizer::Pair> pairs;
  for (const Config& merge : merges.as_list()) {
    if (merge.is_string()) {
      pairs.push_back(parse_merge(vocab, merge.as_string(), merge.where()));
      continue;
    }
    const Config::List& parts = merge.as_list();
    if (parts.size() != 2) {
      fail_request(merge.where(),
                   fmt::format("tokenizer: a merge has two parts, not {}", parts.size()));
    }
    pairs.emplace_back(find_part(vocab, parts[0].as_string(), merge.where()),
                       find_part(vocab, parts[1].as_string(), merge.where()));
  }
  return pairs;
}

// Reports what the constructor finds wrong at the place of the model.
BpeTokenizer make_bpe(const Ids& vocab, std::vector<BpeTokenizer::Pair> merges,
                      std::vector<SpecialToken> specials, const SourceLocation& where) {
  std::vector<std::string> tokens = tokens_in_order(vocab, specials, where);
  try {
    return BpeTokenizer(std::move(tokens), std::move(merges), std::move(specials));
  } catch (const RequestError& error) {
    fail_request(where, error.what());
  }
}

std::unique_ptr<Tokenizer> parse_bpe(const Config& document) {
  const Config& model = document.at("model");
  const Config* type = given(model, "type");  // files older than 2021 leave it out
  if (type != nullptr && type->as_string() != "BPE") {
    fail_request(type->where(), fmt::format("tokenizer: a model of type {} is not supported "
                                            "(known: BPE)",
                                            type->as_string()));
  }
  expect_neutral(model, "dropout", 0.0);
  expect_neutral(model, "continuing_subword_prefix", "");
  expect_neutral(model, "end_of_word_suffix", "");
  expect_neutral(model, "ignore_merges", false);
  if (const Config* normalizer = given(document, "normalizer")) {
    fail_request(normalizer->where(),
                 "tokenizer: a normalizer is not supported: text must come "
                 "back as it was");
  }
  expect_byte_level(document, "pre_tokenizer", true);
  expect_byte_level(document, "post_processor", false);
  expect_byte_level(document, "decoder", true);
  const Config& split = document.at("pre_tokenizer");
  expect_neutral(split, "add_prefix_space", false);
  expect_neutral(split, "use_regex", true);

  const Config& vocab = model.at("vocab");
  const Ids ids = read_vocab(vocab);
  return std::make_unique<BpeTokenizer>(
      make_bpe(ids, read_merges(ids, model.at("merges")), read_specials(document), vocab.where()));
}

std::unique_ptr<Tokenizer> parse_chars(const Config& document) {
  const Config& list = document.at("code_points");
  std::vector<int32_t> code_points;
  for (const Config& entry : list.as_list()) {
    const int64_t value = entry.as_integer();
    if (value < 0 || value > std::numeric_limits<int32_t>::max()) {
      fail_request(entry.where(), fmt::format("chars: {} is not a code point", value));
    }
    code_points.push_back(static_cast<int32_t>(value));
  }
  try {
    return std::make_unique<CharTokenizer>(code_points);
  } catch (const RequestError& error) {
    fail_request(list.where(), error.what());
  }
}

// GPT-2's own pair of files; "<|endoftext|>" is special where the vocabulary has it.
std::unique_ptr<Tokenizer> load_pair(const std::string& vocab_path,
                                     const std::string& merges_path) {
  const Config vocab = parse_json(read_file(vocab_path), vocab_path);
  const Ids ids = read_vocab(vocab);
  std::vector<SpecialToken> specials;
  if (const auto end = ids.find(kEndOfText); end != ids.end()) {
    specials.push_back({kEndOfText, end->second});
  }
  std::vector<BpeTokenizer::Pair> merges;
  const std::string text = read_file(merges_path);
  int line = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string entry = text.substr(at, end - at);
    if (!entry.empty() && entry.back() == '\r') entry.pop_back();
    at = end + 1;
    ++line;
    if (entry.empty() || (line == 1 && entry.starts_with("#version"))) continue;
    merges.push_back(parse_merge(ids, entry, {merges_path, line, 1}));
  }
  return std::make_unique<BpeTokenizer>(
      make_bpe(ids, std::move(merges), std::move(specials), vocab.where()));
}

}  // namespace

std::unique_ptr<Tokenizer> parse_tokenizer(const Config& document, const std::string& name) {
  if (!document.is_map()) {
    fail_request(SourceLocation{name},
                 fmt::format("tokenizer: expected a map, got {}", document.kind()));
  }
  if (document.has("model")) return parse_bpe(document);
  const Config* type = document.find("type");
  if (type == nullptr) {
    fail_request(SourceLocation{name},
                 "tokenizer: there is neither a \"model\" (byte-level BPE) nor a \"type\" "
                 "(bytes, chars, words)");
  }
  if (type->as_string() == "chars") return parse_chars(document);
  if (type->as_string() == "words") return parse_words(document);
  if (type->as_string() == "bytes") return std::make_unique<ByteTokenizer>();
  fail_request(
      type->where(),
      fmt::format("tokenizer: unknown type '{}' (known: bytes, chars, words)", type->as_string()));
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path) {
  if (!fs::is_directory(path)) return parse_tokenizer(parse_json(read_file(path), path), path);
  const fs::path folder(path);
  const std::string whole = folder / "tokenizer.json";
  if (fs::exists(whole)) return load_tokenizer(whole);
  const std::string vocab = folder / "vocab.json", merges = folder / "merges.txt";
  if (fs::exists(vocab) && fs::exists(merges)) return load_pair(vocab, merges);
  fail_request("'{}' holds neither tokenizer.json nor vocab.json and merges.txt", path);
}

}  // namespace heed::data
