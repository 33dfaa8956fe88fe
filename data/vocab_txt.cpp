#include "data/vocab_txt.h"

#include <algorithm>
#include <filesystem>
#include <unordered_set>

#include "core/files.h"

namespace heed::data {
namespace {

namespace fs = std::filesystem;

}  // namespace

Config read_vocab_txt(const std::string& folder) {
  const std::string path = fs::path(folder) / "vocab.txt";
  const std::string text = read_file(path);
  Config vocab = Config::map(), added = Config::list();
  std::unordered_set<std::string> seen;
  int64_t cls = -1, sep = -1;
  int64_t id = 0;
  for (size_t at = 0; at < text.size(); ++id) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string token = text.substr(at, end - at);
    if (token.ends_with('\r')) token.pop_back();
    at = end + 1;
    if (!seen.insert(token).second) {
      fail_request(SourceLocation{path, static_cast<int>(id) + 1, 1},
                   fmt::format("tokenizer: the token '{}' is there twice", token));
    }
    if (token == "[CLS]") cls = id;
    if (token == "[SEP]") sep = id;
    for (const char* name : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) {
      if (token == name) added.append(Config::Map{{"id", id}, {"content", token}});
    }
    vocab.add(std::move(token), id);
  }
  const std::string config_path = fs::path(folder) / "tokenizer_config.json";
  const Config config = fs::exists(config_path) ? read_json_file(config_path) : Config::map();
  const auto option = [&](const char* key, const Config& otherwise) {
    const Config* value = config.find(key);
    return value == nullptr || value->is_null() ? otherwise : *value;
  };
  Config document = Config::Map{
      {"version", "1.0"},
      {"added_tokens", added},
      {"normalizer", Config::Map{{"type", "BertNormalizer"},
                                 {"clean_text", true},
                                 {"handle_chinese_chars", option("tokenize_chinese_chars", true)},
                                 {"strip_accents", option("strip_accents", Config())},
                                 {"lowercase", option("do_lower_case", true)}}},
      {"pre_tokenizer", Config::Map{{"type", "BertPreTokenizer"}}},
      {"post_processor", Config()},
      {"decoder", Config::Map{{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
      {"model", Config::Map{{"type", "WordPiece"},
                            {"unk_token", "[UNK]"},
                            {"continuing_subword_prefix", "##"},
                            {"max_input_chars_per_word", 100},
                            {"vocab", vocab}}}};
  if (cls >= 0 && sep >= 0) {
    document.set("post_processor", Config::Map{{"type", "BertProcessing"},
                                               {"sep", Config::List{"[SEP]", sep}},
                                               {"cls", Config::List{"[CLS]", cls}}});
  }
  return document;
}

}  // namespace heed::data
