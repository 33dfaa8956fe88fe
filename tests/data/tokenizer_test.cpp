#include "data/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "core/files.h"
#include "core/random.h"
#include "data/bpe.h"
#include "data/byte_tokenizer.h"
#include "data/char_tokenizer.h"
#include "tests/data/test_data.h"

namespace heed::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class Fn>
std::string message_of(Fn&& fn) {
  try {
    fn();
  } catch (const RequestError& error) {
    return error.what();
  }
  return "(no error)";
}

TEST(ByteTokenizer, IsTheIdentity) {
  const ByteTokenizer bytes;
  std::string text;
  for (int b = 0; b < 256; ++b) text.push_back(static_cast<char>(b));
  const std::vector<TokenId> ids = bytes.encode(text);
  for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(ids[i], static_cast<TokenId>(i));
  EXPECT_EQ(bytes.decode(ids), text);
  EXPECT_EQ(bytes.end_of_text(), 256);
  EXPECT_EQ(bytes.text_bytes(std::array<TokenId, 3>{65, 256, 66}), 2);
  EXPECT_THROW(bytes.token(257), RequestError);
  EXPECT_THROW(bytes.token(-1), RequestError);
}

TEST(CharTokenizer, SortsTheCharactersOfTheText) {
  const CharTokenizer chars =
      CharTokenizer::from_texts({"b\xC3\xA9"
                                 "a",
                                 "ca"});
  EXPECT_EQ(chars.vocab_size(), 4);
  EXPECT_THAT(chars.encode("ab\xC3\xA9"), ElementsAre(0, 1, 3));
  EXPECT_EQ(chars.decode(std::array<TokenId, 2>{3, 2}),
            "\xC3\xA9"
            "c");
  EXPECT_FALSE(chars.end_of_text().has_value());
}

TEST(CharTokenizer, NamesACharacterItDoesNotKnow) {
  const CharTokenizer chars = CharTokenizer::from_texts({"abc"});
  EXPECT_THAT(message_of([&] { chars.encode("ab\xC3\xA9"); }),
              HasSubstr("'\xC3\xA9' (U+00E9) at byte 2"));
  EXPECT_THAT(message_of([&] { chars.encode("\xFF"); }), HasSubstr("byte 0xFF"));
}

TEST(CharTokenizer, KeepsBytesThatAreNotUtf8) {
  const std::string text = "caf\xE9 \x80\xE2\x82 \xE2\x82\xAC";
  const CharTokenizer chars = CharTokenizer::from_texts({text});
  EXPECT_EQ(chars.decode(chars.encode(text)), text);
}

TEST(CharTokenizer, TinyShakespeareHas65) {
  HEED_REAL_DATA(path, "text/tinyshakespeare.txt");
  const std::string text = read_file(path);
  const CharTokenizer chars = CharTokenizer::from_texts({text});
  EXPECT_EQ(chars.vocab_size(), 65) << "as nanoGPT prints";
  EXPECT_EQ(chars.decode(chars.encode(text)), text);
}

TEST(TokenizerFile, BytesAndCharsComeBack) {
  const TemporaryFolder folder;
  const std::string text = "caf\xC3\xA9 \xFF!";
  const ByteTokenizer bytes;
  const CharTokenizer chars = CharTokenizer::from_texts({text});
  for (const Tokenizer* tokenizer :
       {static_cast<const Tokenizer*>(&bytes), static_cast<const Tokenizer*>(&chars)}) {
    tokenizer->save(folder / "tokenizer.json");
    const auto loaded = load_tokenizer(folder.path());
    EXPECT_STREQ(loaded->type(), tokenizer->type());
    EXPECT_EQ(loaded->to_config(), tokenizer->to_config());
    EXPECT_EQ(loaded->encode(text), tokenizer->encode(text));
  }
}

TEST(TokenizerFile, SaysWhatIsWrongAndWhere) {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& text) {
    const std::string path = folder.write("t.json", text);
    return message_of([&] { load_tokenizer(path); });
  };
  EXPECT_THAT(message("{\"type\": \"syllables\"}"), HasSubstr("unknown type 'syllables'"));
  EXPECT_THAT(message("{}"), HasSubstr("neither"));
  EXPECT_THAT(message("[1]"), HasSubstr("expected a map"));
  EXPECT_THAT(message("{\"type\": \"chars\",\n \"code_points\": [1, 55296]}"),
              HasSubstr("t.json:2"));
  EXPECT_THAT(message("{\"type\": \"chars\", \"code_points\": [97, 97]}"), HasSubstr("twice"));
  EXPECT_THAT(message("{\"type\": \"chars\", \"code_points\": []}"), HasSubstr("empty"));
  EXPECT_THAT(message("{\"type\": "), HasSubstr("t.json:1"));
  EXPECT_THAT(message_of([&] { load_tokenizer(folder / "absent.json"); }), HasSubstr("absent"));
  EXPECT_THAT(message_of([&] { load_tokenizer(folder.path()); }), HasSubstr("merges.txt"));
}

// Whatever is done to a file, the parser answers with a tokenizer or a RequestError.
TEST(TokenizerFile, MutationsAreAnsweredOrRefused) {
  const BpeTokenizer bpe = train_bpe({"the cat sat on the mat, the cat"}, {.vocab_size = 264});
  const std::string good = bpe.to_config().to_json(1);
  const RandomStream stream({9, hash_name("mutations"), 0});
  uint64_t draw = 0;
  int refused = 0;
  for (int round = 0; round < 400; ++round) {
    std::string text = good;
    const uint64_t edits = 1 + stream.below(draw++, 3);
    for (uint64_t e = 0; e < edits; ++e) {
      const size_t at = stream.below(draw++, text.size());
      const size_t length = 1 + stream.below(draw++, 8);
      switch (stream.below(draw++, 4)) {
        case 0:
          text[at] = static_cast<char>(stream.word(draw++));
          break;
        case 1:
          text.erase(at, length);
          break;
        case 2:
          text.insert(at, text.substr(stream.below(draw++, text.size()), length));
          break;
        default:
          text.resize(at);
      }
      if (text.empty()) text.push_back('{');
    }
    try {
      const auto tokenizer = parse_tokenizer(parse_json(text, "m.json"), "m.json");
      EXPECT_EQ(tokenizer->decode(tokenizer->encode("the cat")), "the cat");
    } catch (const RequestError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 100) << "most mutations break the file";
}

// "[text]" and "<id>" of what is found.
std::string found(const AddedTokens& tokens, std::string_view text, bool with_specials = true,
                  std::vector<size_t> plain = {}) {
  std::string all;
  tokens.split(
      text, with_specials, plain,
      [&](std::string_view piece, size_t) { all += fmt::format("[{}]", piece); },
      [&](TokenId id) { all += fmt::format("<{}>", id); });
  return all;
}

TEST(AddedTokens, TheLongestThatStandsThereIsWhatStandsThere) {
  SpecialToken word{"hello", 1, false}, part{"lo", 2, false}, end{"<end>", 3},
      inner{"nd", 4, false};
  word.single_word = true;
  const AddedTokens tokens({word, part, end, inner});
  EXPECT_EQ(found(tokens, "hello, lo"), "<1>[, ]<2>");
  EXPECT_EQ(found(tokens, "othello lo"), "[othello ]<2>") << "what is within is text too";
  EXPECT_EQ(found(tokens, "a<end>nd"), "[a]<3><4>");
  EXPECT_EQ(found(tokens, "a<end>nd", false), "[a<end>]<4>");
  EXPECT_EQ(found(tokens, "<end><end>", true, {5}), "<3>[<end>]");
  EXPECT_EQ(found(tokens, "<end>lo", true, {0}), "[<end>]<2>");
}

}  // namespace
}  // namespace heed::data
