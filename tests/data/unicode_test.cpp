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

TEST(NormalForm, ChangesWhatItMustAndNothingElse) {
  const auto form = [](std::string_view text, NormalForm wanted) {
    return normal_form(text, wanted);
  };
  EXPECT_EQ(form("plain", NormalForm::nfd), "plain");
  EXPECT_EQ(form("xe\u0301y", NormalForm::nfc), "x\u00e9y");
  EXPECT_EQ(form("\u00e9\u0323z", NormalForm::nfc), "\u1eb9\u0301z") << "taken apart first";
  EXPECT_EQ(form("a\u00e9\u00e8", NormalForm::nfc), "a\u00e9\u00e8");
  EXPECT_EQ(form("a\u00e9", NormalForm::nfd), "ae\u0301");
  EXPECT_EQ(form("\u1100\u1161\u11a8", NormalForm::nfc), "\uac01");
  EXPECT_EQ(form("\uac01", NormalForm::nfd), "\u1100\u1161\u11a8");
  EXPECT_EQ(form("\u00bd\ufb01", NormalForm::nfkc), "1\u20442fi");
  EXPECT_EQ(form("\u00bd", NormalForm::nfc), "\u00bd");
  EXPECT_EQ(form("\u0301a", NormalForm::nfc), "\u0301a") << "nothing to join";
  // Bytes that are no UTF-8 stay, and no mark reaches over one.
  EXPECT_EQ(form("e\xff\u0301\xfe\u00e9", NormalForm::nfc), "e\xff\u0301\xfe\u00e9");
  EXPECT_EQ(form("\xff\u00e9", NormalForm::nfd),
            "\xff"
            "e\u0301");
}

// Canonical order of a long run is no matter of the square of its length.
TEST(NormalForm, OrdersLongRunsOfMarks) {
  const int count = 200000;
  std::string marks, above, below;
  for (int i = 0; i < count; ++i) {
    marks += "\u0315\u0316";  // classes 232 and 220
    above += "\u0315";
    below += "\u0316";
  }
  EXPECT_EQ(normal_form("q" + marks, NormalForm::nfd), "q" + below + above);
  EXPECT_EQ(normal_form("q" + marks, NormalForm::nfc), "q" + below + above);
}

}  // namespace
}  // namespace heed::data
