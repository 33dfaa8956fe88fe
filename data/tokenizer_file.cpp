// Reading tokenizer.json: our own "bytes", "chars" and "words", byte-level BPE as `tokenizers`
// writes it, and its other models (pipeline.h). Whatever would make another tokenization than the
// file's author meant is refused by name.
#include <algorithm>
#include <filesystem>
#include <limits>
#include <unordered_set>

#include "core/files.h"
#include "data/bpe.h"
#include "data/byte_level.h"
#include "data/byte_tokenizer.h"
#include "data/char_tokenizer.h"
#include "data/pipeline.h"
#include "data/sentence_piece.h"
#include "data/tokenizer.h"
#include "data/tokenizer_layout.h"
#include "data/vocab_txt.h"
#include "data/word_tokenizer.h"
#include "data/xlm_roberta.h"

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
  std::unordered_set<TokenId> as_written;
  for (const SpecialToken& token : specials) as_written.insert(token.id);
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (as_written.contains(static_cast<TokenId>(id))) continue;
    std::optional<std::string> bytes = from_byte_level(tokens[id]);
    if (!bytes) {
      fail_request(where, fmt::format("tokenizer: the token '{}' is not byte-level", tokens[id]));
    }
    tokens[id] = std::move(*bytes);
  }
  return tokens;
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

std::unique_ptr<Tokenizer> make_bpe(const Config& document, const Ids& vocab,
                                    std::vector<BpeTokenizer::Pair> merges,
                                    std::vector<SpecialToken> specials, BpeStyle style,
                                    const SourceLocation& where) {
  std::vector<std::string> tokens =
      bytes_of(tokens_in_order(vocab, specials, where), specials, where);
  style.frame = read_frame(document, tokens.size());
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
  const Config* whole_words = given(model, "ignore_merges");
  style.ignore_merges = whole_words != nullptr && whole_words->as_bool();

  const Config& vocab = model.at("vocab");
  const Ids ids = read_vocab(vocab);
  return make_bpe(document, ids, read_merges(ids, model.at("merges")), read_specials(document),
                  std::move(style), vocab.where());
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
  return make_bpe(Config::map(), ids, std::move(merges), std::move(specials), {}, vocab.where());
}

std::unique_ptr<Tokenizer> load_sentence_piece(const std::string& path) {
  return std::make_unique<SentencePieceTokenizer>(parse_sentence_piece(read_file(path), path));
}

// A .model of a folder whose tokenizer_config.json says what stands around a text.
std::unique_ptr<Tokenizer> load_sentence_piece(const fs::path& file, const fs::path& folder) {
  SentencePieceModel model = parse_sentence_piece(read_file(file), file);
  const std::string path = folder / "tokenizer_config.json";
  const Config config = fs::exists(path) ? read_json_file(path) : Config::map();
  const Config* of = given(config, "tokenizer_class");
  const std::string name = of != nullptr && of->is_string() ? of->as_string() : "";
  const auto adds = [&](const char* key, bool otherwise) {
    const Config* value = given(config, key);
    return value == nullptr ? otherwise : value->as_bool();
  };
  const bool decoder =
      name.starts_with("Llama") || name.starts_with("CodeLlama") || name.starts_with("Gemma");
  if (adds("add_bos_token", decoder) && model.bos >= 0) model.start = {model.bos};
  if (adds("add_eos_token", name.starts_with("T5")) && model.eos >= 0) model.finish = {model.eos};
  return std::make_unique<SentencePieceTokenizer>(std::move(model));
}

// The .model of a folder whose ids are the model's.
std::string sentence_piece_in(const fs::path& folder) {
  for (const char* name : {"tokenizer.model", "spiece.model"}) {
    if (fs::exists(folder / name)) return folder / name;
  }
  return "";
}

}  // namespace

std::unique_ptr<Tokenizer> parse_tokenizer(const Config& document, const std::string& name) {
  if (!document.is_map()) {
    fail_request(SourceLocation{name},
                 fmt::format("tokenizer: expected a map, got {}", document.kind()));
  }
  if (document.has("model")) {
    if (is_pipeline(document)) return std::make_unique<PipelineTokenizer>(document);
    return parse_bpe(document);
  }
  const Config* type = document.find("type");
  if (type == nullptr) {
    fail_request(SourceLocation{name},
                 "tokenizer: there is neither a \"model\" (BPE, WordPiece, Unigram) nor a \"type\" "
                 "(bytes, chars, words, sentencepiece)");
  }
  if (type->as_string() == "chars") return parse_chars(document);
  if (type->as_string() == "words") return parse_words(document);
  if (type->as_string() == "bytes") return std::make_unique<ByteTokenizer>();
  if (type->as_string() == "sentencepiece") {
    return std::make_unique<SentencePieceTokenizer>(read_sentence_piece(document));
  }
  fail_request(type->where(), fmt::format("tokenizer: unknown type '{}' (known: bytes, chars, "
                                          "words, sentencepiece)",
                                          type->as_string()));
}

bool has_tokenizer_files(const std::string& folder) {
  const fs::path in(folder);
  return fs::exists(in / "tokenizer.json") || fs::exists(in / "vocab.txt") ||
         (fs::exists(in / "vocab.json") && fs::exists(in / "merges.txt")) ||
         fs::exists(in / kXlmRobertaModel) || !sentence_piece_in(in).empty();
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path) {
  if (!fs::is_directory(path)) {
    if (fs::path(path).filename() == kXlmRobertaModel) {
      return parse_tokenizer(read_xlm_roberta(path), path);
    }
    if (path.ends_with(".model")) return load_sentence_piece(path);
    return parse_tokenizer(parse_json(read_file(path), path), path);
  }
  const fs::path folder(path);
  const std::string whole = folder / "tokenizer.json";
  if (fs::exists(whole)) return load_tokenizer(whole);
  const std::string vocab = folder / "vocab.json", merges = folder / "merges.txt";
  if (fs::exists(vocab) && fs::exists(merges)) return load_pair(vocab, merges);
  if (const std::string model = sentence_piece_in(folder); !model.empty()) {
    return load_sentence_piece(model, folder);
  }
  if (const std::string model = folder / kXlmRobertaModel; fs::exists(model)) {
    return load_tokenizer(model);
  }
  if (fs::exists(folder / "vocab.txt")) {
    return parse_tokenizer(read_vocab_txt(path), folder / "vocab.txt");
  }
  fail_request(
      "'{}' holds no tokenizer: tokenizer.json, vocab.json with merges.txt, "
      "tokenizer.model, spiece.model, sentencepiece.bpe.model or vocab.txt",
      path);
}

}  // namespace heed::data
