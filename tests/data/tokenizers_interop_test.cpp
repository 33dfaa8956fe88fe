// The C++ half of tests/interop/tokenizers_check.py, which sets HEED_INTEROP to a folder of
// questions.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

#include "core/files.h"
#include "data/bpe.h"
#include "data/tokenizer.h"

namespace heed::data {
namespace {

std::string interop_folder() {
  const char* folder = std::getenv("HEED_INTEROP");
  return folder == nullptr ? "" : folder;
}

std::vector<TokenId> ids_of(const Config& list) {
  std::vector<TokenId> ids;
  for (const Config& id : list.as_list()) ids.push_back(static_cast<TokenId>(id.as_integer()));
  return ids;
}

// cases.json: [{"tokenizer": path, "text": text, "ids": what `tokenizers` makes of it, "decoded":
// their text where it is another, "plain": special tokens are text}, ...], or with "second" the
// framed ids of one text, and the "pair" and "types" of both.
TEST(TokenizersInterop, EncodesAsTokenizersDoes) {
  const std::string folder = interop_folder();
  if (folder.empty()) GTEST_SKIP() << "run by tests/interop/tokenizers_check.py";
  std::string path;
  std::unique_ptr<Tokenizer> tokenizer;
  const std::string name = folder + "/cases.json";
  const Config cases = parse_json(read_file(name), name);
  for (const Config& entry : cases.as_list()) {
    if (entry.at("tokenizer").as_string() != path) {
      path = entry.at("tokenizer").as_string();
      tokenizer = load_tokenizer(path);
    }
    const std::string& text = entry.at("text").as_string();
    if (const Config* second = entry.find("second")) {
      const FramedTokens pair = tokenizer->encode_pair(text, second->as_string());
      ASSERT_EQ(tokenizer->encode_framed(text).ids, ids_of(entry.at("ids"))) << path << text;
      ASSERT_EQ(pair.ids, ids_of(entry.at("pair"))) << path << ": " << text;
      ASSERT_EQ(pair.types, ids_of(entry.at("types"))) << path << ": " << text;
      continue;
    }
    const std::vector<TokenId> ids =
        entry.has("plain") ? tokenizer->encode(text) : tokenizer->encode_with_specials(text);
    ASSERT_EQ(ids, ids_of(entry.at("ids"))) << path << ": " << text.substr(0, 200);
    const Config* decoded = entry.find("decoded");  // of tokenizers that normalise
    ASSERT_EQ(tokenizer->decode(ids), decoded == nullptr ? text : decoded->as_string());
  }
}

// train.txt becomes trained/tokenizer.json, with {"ids": ..., "seconds": ...} in trained/ids.json.
TEST(TokenizersInterop, TrainsForTokenizersToCompare) {
  const std::string folder = interop_folder();
  if (folder.empty()) GTEST_SKIP() << "run by tests/interop/tokenizers_check.py";
  const std::string text = read_file(folder + "/train.txt");
  const int64_t vocab = std::stoll(read_file(folder + "/vocab_size"));
  const auto start = std::chrono::steady_clock::now();
  const BpeTokenizer bpe = train_bpe({text}, {.vocab_size = vocab});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  make_directories(folder + "/trained");
  bpe.save(folder + "/trained/tokenizer.json");
  Config::List ids;
  for (const TokenId id : bpe.encode_with_specials(text)) ids.emplace_back(int64_t{id});
  const Config answer = Config::Map{{"ids", std::move(ids)}, {"seconds", seconds.count()}};
  write_file_atomically(folder + "/trained/ids.json", answer.to_json());
}

}  // namespace
}  // namespace heed::data
