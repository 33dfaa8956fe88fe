// The C++ half of tests/interop/tokenizers_check.py.
#include <gtest/gtest.h>

#include <chrono>

#include "core/files.h"
#include "data/bpe.h"
#include "data/tokenizer.h"
#include "tests/interop/answers.h"

namespace heed::data {
namespace {

std::vector<TokenId> ids_of(const Config& list) {
  std::vector<TokenId> ids;
  for (const Config& id : list.as_list()) ids.push_back(static_cast<TokenId>(id.as_integer()));
  return ids;
}

// Whether a text and its ids are those of the question.
bool agrees(const Tokenizer& tokenizer, const Config& entry) {
  const std::string& text = entry.at("text").as_string();
  const std::vector<TokenId> wanted = ids_of(entry.at("ids"));
  if (const Config* second = entry.find("second")) {
    const FramedTokens pair = tokenizer.encode_pair(text, second->as_string());
    return tokenizer.encode_framed(text).ids == wanted && pair.ids == ids_of(entry.at("pair")) &&
           pair.types == ids_of(entry.at("types"));
  }
  const std::vector<TokenId> ids =
      entry.has("plain") ? tokenizer.encode(text) : tokenizer.encode_with_specials(text);
  const Config* decoded = entry.find("decoded");  // of tokenizers that normalise
  return ids == wanted &&
         tokenizer.decode(ids) == (decoded == nullptr ? text : decoded->as_string());
}

// cases.json: [{"tokenizer": path, "text": text, "ids": what `tokenizers` makes of it, "decoded":
// their text where it is another, "plain": special tokens are text}, ...], or with "second" the
// framed ids of one text, and the "pair" and "types" of both.
TEST(TokenizersInterop, EncodesAsTokenizersDoes) {
  const std::string name = interop::folder() + "/cases.json";
  const Config cases = parse_json(read_file(name), name);
  std::string path;
  std::unique_ptr<Tokenizer> tokenizer;
  interop::Answers answers;
  for (const Config& entry : cases.as_list()) {
    if (entry.at("tokenizer").as_string() != path) {
      path = entry.at("tokenizer").as_string();
      tokenizer = load_tokenizer(path);
    }
    EXPECT_TRUE(answers.note(agrees(*tokenizer, entry)))
        << path << ": " << entry.at("text").as_string().substr(0, 200);
  }
}

// train.txt becomes trained/tokenizer.json, with {"ids": ..., "seconds": ...} in trained/ids.json.
TEST(TokenizersInterop, TrainsForTokenizersToCompare) {
  const std::string& folder = interop::folder();
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
