#include "data/unicode.h"

#include <gtest/gtest.h>

#include "core/random.h"
#include "data/byte_level.h"

namespace heed::data {
namespace {

std::string random_bytes(uint64_t seed, size_t count) {
  const RandomStream stream({seed, hash_name("bytes"), 0});
  std::string text;
  for (size_t i = 0; i < count; ++i) text.push_back(static_cast<char>(stream.word(i)));
  return text;
}

TEST(CodePoint, ReadsOneToFourBytes) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
  EXPECT_EQ(code_point_at(text, 0).value, 'a');
  EXPECT_EQ(code_point_at(text, 1).value, 0xE9);
  EXPECT_EQ(code_point_at(text, 3).value, 0x20AC);
  EXPECT_EQ(code_point_at(text, 6).value, 0x1F600);
  EXPECT_EQ(code_point_at(text, 6).bytes, 4);
}

TEST(CodePoint, EscapesWhatIsNotUtf8) {
  // a lone continuation, an overlong '/', a surrogate, a cut character
  for (const std::string text : {"\x80", "\xC0\xAF", "\xED\xA0\x80", "\xE2\x82"}) {
    const CodePoint c = code_point_at(text, 0);
    EXPECT_EQ(c.bytes, 1);
    EXPECT_EQ(c.value, 0xDC00 + static_cast<unsigned char>(text[0]));
  }
}

TEST(CodePoint, ArbitraryBytesSurvive) {
  const std::string text = random_bytes(1, 5000);
  std::string back;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    ASSERT_TRUE(is_code_point(c.value));
    append_code_point(back, c.value);
    at += static_cast<size_t>(c.bytes);
  }
  EXPECT_EQ(back, text);
}

TEST(FloorToCharacter, NeverCutsACharacter) {
  const std::string text =
      "a\xE2\x82\xAC"
      "b";
  EXPECT_EQ(floor_to_character(text, 1), 1u);
  EXPECT_EQ(floor_to_character(text, 2), 1u);
  EXPECT_EQ(floor_to_character(text, 3), 1u);
  EXPECT_EQ(floor_to_character(text, 4), 4u);
  EXPECT_EQ(floor_to_character(text, 99), text.size());
  EXPECT_EQ(floor_to_character("\x80\x80\x80", 2), 2u) << "stray bytes are their own characters";
}

TEST(CharClass, FollowsUnicode) {
  for (const int32_t c : {0x61, 0xE9, 0x3B1, 0x4E2D, 0x2B0})
    EXPECT_EQ(char_class(c), CharClass::letter);
  for (const int32_t c : {0x37, 0xB2, 0x2167, 0x0967}) EXPECT_EQ(char_class(c), CharClass::number);
  for (const int32_t c : {0x20, 0x0B, 0x85, 0xA0, 0x2003, 0x3000})
    EXPECT_EQ(char_class(c), CharClass::space);
  // a control that is no space, a combining mark, an emoji, a zero-width space, an escaped byte
  for (const int32_t c : {0x1C, 0x301, 0x1F600, 0x200B, 0xDC80})
    EXPECT_EQ(char_class(c), CharClass::other);
}

TEST(ByteLevel, IsAnAlphabetOf256) {
  std::string all;
  for (const unsigned char b : byte_alphabet()) all.push_back(static_cast<char>(b));
  EXPECT_EQ(from_byte_level(to_byte_level(all)), all);
  EXPECT_EQ(to_byte_level(" the\n"), "\xC4\xA0the\xC4\x8A");
  EXPECT_EQ(all.substr(0, 3), "!\"#");
  EXPECT_FALSE(from_byte_level("a b").has_value()) << "a space is written as U+0120";
  EXPECT_FALSE(from_byte_level("\xE2\x82\xAC").has_value());
}

}  // namespace
}  // namespace heed::data
