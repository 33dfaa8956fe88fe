// Reading tokenizer.json: our own "bytes", "chars" and "words", byte-level BPE as `tokenizers`
// writes it, and the BPE of whole texts (sentence_bpe.h). Whatever would make another tokenization
// than the file's author meant is refused by name.
#include <algorithm>
#include <filesystem>
#include <limits>

#include "core/files.h"
#include "data/bpe.h"
#include "data/byte_level.h"
#include "data/byte_tokenizer.h"
#include "data/char_tokenizer.h"
#include "data/sentence_bpe.h"
#include "data/tokenizer.h"
#include "data/tokenizer_layout.h"
#include "data/word_tokenizer.h"

namespace heed::data {
namespace {

namespace fs = std::filesystem;
using namespace layout;

void expect_byte_level(const Config& document, const char* key) {
  const Config* part = given(document, key);
  if (part == nullptr) {
    fail_request(document.where(), fmt::format("tokenizer: a byte-level BPE needs \"{}\": "
                                               "{{\"type\": \"ByteLevel\"}}, here it is null",
                                               key));
  }
  if (!is_of_type(*part, "ByteLevel")) refuse(*part, key, "ByteLevel");
}

// ByteLevel, with an expression or a cut at digits before it.
WordSplit read_words(const Config& document) {
  constexpr const char* kKey = "pre_tokenizer";
  const Config* whole = given(document, kKey);
  if (whole == nullptr || !is_of_type(*whole, "Sequence")) {
    expect_byte_level(document, kKey);
    expect_neutral(*whole, "add_prefix_space", false);
    expect_neutral(*whole, "use_regex", true);
    return {};
  }
  const Config::List& parts = whole->at("pretokenizers").as_list();
  WordSplit words;
  bool own_regex = false;
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    const Config& part = parts[i];
    if (is_of_type(part, "Digits") && i == 0) {
      words.single_digits = part.at("individual_digits").as_bool();
      if (!words.single_digits) refuse(part, kKey, "Digits with individual_digits");
    } else if (is_of_type(part, "Split") && !own_regex) {
      const Config* regex = part.at("pattern").find("Regex");
      for (const WordPattern pattern : {WordPattern::llama3, WordPattern::qwen2}) {
        if (regex == nullptr || *regex != Config(regex_of(pattern))) continue;
        words.pattern = pattern;
        own_regex = true;
      }
      if (!own_regex) {
        fail_request(part.where(), fmt::format("tokenizer: the expression {} is not supported; "
                                               "known are GPT-2's, Llama 3's and Qwen's",
                                               part.at("pattern").to_json()));
      }
      if (part.at("behavior") != Config("Isolated") || part.at("invert").as_bool()) {
        refuse(part, kKey, "Split with behavior Isolated");
      }
    } else {
      refuse(part, kKey, "Digits, Split, ByteLevel");
    }
  }
  if (parts.empty() || !is_of_type(parts.back(), "ByteLevel")) {
    refuse(parts.empty() ? *whole : parts.back(), kKey, "ByteLevel at the end");
  }
  expect_neutral(parts.back(), "add_prefix_space", false);
  expect_neutral(parts.back(), "use_regex", !own_regex);
  return words;
}

bool is_composed(const Config& document) {
  const Config* normalizer = given(document, "normalizer");
  if (normalizer == nullptr) return false;
  for (const Config& part : parts_of(*normalizer, "normalizers")) {
    if (!is_of_type(part, "NFC")) refuse(part, "normalizer", "NFC");
  }
  return true;
}

// The bytes of written tokens.
std::vector<std::string> bytes_of(std::vector<std::string> tokens,
                                  const std::vector<SpecialToken>& specials,
                                  const SourceLocation& where) {
  for (size_t id = 0; id < tokens.size(); ++id) {
    std::optional<std::string> bytes = from_byte_level(tokens[id]);
    const bool special = std::any_of(specials.begin(), specials.end(), [id](const auto& s) {
      return s.id == static_cast<TokenId>(id);
    });
    if (special) continue;
    if (!bytes) {
      fail_request(where, fmt::format("tokenizer: the token '{}' is not byte-level", tokens[id]));
    }
    tokens[id] = std::move(*bytes);
  }
  return tokens;
}

void check_start(const std::vector<TokenId>& start, size_t tokens, const SourceLocation& where) {
  for (const TokenId id : start) {
    if (static_cast<size_t>(id) < tokens) continue;
    fail_request(where, fmt::format("tokenizer: texts start with the token {}, and there are {}",
                                    id, tokens));
  }
}

// Reports what a constructor finds wrong at the place of the vocabulary.
template <class Make>
auto made_at(const SourceLocation& where, Make&& make) {
  try {
    return make();
  } catch (const RequestError& error) {
    fail_request(where, error.what());
  }
}

std::unique_ptr<Tokenizer> make_bpe(const Ids& vocab, std::vector<BpeTokenizer::Pair> merges,
                                    std::vector<SpecialToken> specials, BpeStyle style,
                                    const SourceLocation& where) {
  std::vector<std::string> tokens =
      bytes_of(tokens_in_order(vocab, specials, where), specials, where);
  check_start(style.start, tokens.size(), where);
  return made_at(where, [&] {
    return std::make_unique<BpeTokenizer>(std::move(tokens), std::move(merges), std::move(specials),
                                          std::move(style));
  });
}

std::unique_ptr<Tokenizer> parse_bpe(const Config& document) {
  const Config& model = document.at("model");
  expect_neutral(model, "dropout", 0.0);
  expect_neutral(model, "continuing_subword_prefix", "");
  expect_neutral(model, "end_of_word_suffix", "");
  expect_byte_level(document, "decoder");
  BpeStyle style;
  style.words = read_words(document);
  style.composed = is_composed(document);
  style.start = read_start(document);
  const Config* whole_words = given(model, "ignore_merges");
  style.ignore_merges = whole_words != nullptr && whole_words->as_bool();

  const Config& vocab = model.at("vocab");
  const Ids ids = read_vocab(vocab);
  return make_bpe(ids, read_merges(ids, model.at("merges")), read_specials(document),
                  std::move(style), vocab.where());
}

// Llama 2's and Mistral's: a Prepend and a Replace normalizer, or Metaspace in their place.
bool is_sentence_bpe(const Config& document) {
  const Config* fallback = given(document.at("model"), "byte_fallback");
  return fallback != nullptr && fallback->as_bool();
}

void read_spaces(const Config& document, SentenceBpeStyle& style) {
  constexpr const char* kSpace = "\xE2\x96\x81";
  const Config* normalizer = given(document, "normalizer");
  const Config* metaspace = given(document, "pre_tokenizer");
  if (metaspace != nullptr) {
    if (normalizer != nullptr) refuse(*normalizer, "normalizer", "null beside Metaspace");
    const Config* scheme = given(*metaspace, "prepend_scheme");
    if (!is_of_type(*metaspace, "Metaspace") || metaspace->at("replacement") != Config(kSpace) ||
        scheme == nullptr || *scheme == Config("never")) {
      refuse(*metaspace, "pre_tokenizer", "Metaspace that prepends");
    }
    expect_neutral(*metaspace, "split", false);
    style.always_prefixed = false;
    return;
  }
  const Config expected = Config::List{
      Config::Map{{"type", "Prepend"}, {"prepend", kSpace}},
      Config::Map{
          {"type", "Replace"}, {"pattern", Config::Map{{"String", " "}}}, {"content", kSpace}}};
  if (normalizer == nullptr || Config(parts_of(*normalizer, "normalizers")) != expected) {
    refuse(normalizer == nullptr ? document : *normalizer, "normalizer",
           "Prepend and Replace of spaces");
  }
  style.always_prefixed = true;
}

std::unique_ptr<Tokenizer> parse_sentence_bpe(const Config& document) {
  const Config& model = document.at("model");
  expect_neutral(model, "dropout", 0.0);
  expect_neutral(model, "continuing_subword_prefix", "");
  expect_neutral(model, "end_of_word_suffix", "");
  expect_neutral(model, "ignore_merges", false);
  SentenceBpeStyle style;
  read_spaces(document, style);
  style.start = read_start(document);
  const Config& vocab = model.at("vocab");
  const Ids ids = read_vocab(vocab);
  std::vector<SpecialToken> specials = read_specials(document);
  std::vector<std::string> tokens = tokens_in_order(ids, specials, vocab.where());
  check_start(style.start, tokens.size(), vocab.where());
  std::vector<Merges::Pair> merges = read_merges(ids, model.at("merges"));
  return made_at(vocab.where(), [&] {
    return std::make_unique<SentenceBpeTokenizer>(std::move(tokens), std::move(merges),
                                                  std::move(specials), std::move(style));
  });
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
  return made_at(list.where(), [&] { return std::make_unique<CharTokenizer>(code_points); });
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
  return make_bpe(ids, std::move(merges), std::move(specials), {}, vocab.where());
}

}  // namespace

std::unique_ptr<Tokenizer> parse_tokenizer(const Config& document, const std::string& name) {
  if (!document.is_map()) {
    fail_request(SourceLocation{name},
                 fmt::format("tokenizer: expected a map, got {}", document.kind()));
  }
  if (document.has("model")) {
    const Config* type = given(document.at("model"), "type");  // files before 2021 leave it out
    if (type != nullptr && *type != Config("BPE")) refuse(document.at("model"), "model", "BPE");
    return is_sentence_bpe(document) ? parse_sentence_bpe(document) : parse_bpe(document);
  }
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
