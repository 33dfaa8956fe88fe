#include "data/pretokenize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/random.h"

namespace heed::data {
namespace {

using testing::ElementsAre;

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> found;
  for_each_word(text, [&](std::string_view word) { found.emplace_back(word); });
  return found;
}

TEST(Pretokenize, SplitsWordsNumbersAndPunctuation) {
  EXPECT_THAT(words("Hello world42, ok!!"), ElementsAre("Hello", " world", "42", ",", " ok", "!!"));
}

TEST(Pretokenize, KnowsContractionsInLowerCaseOnly) {
  EXPECT_THAT(words("I'll we've it's HE'S ''s"),
              ElementsAre("I", "'ll", " we", "'ve", " it", "'s", " HE", "'", "S", " ''", "s"));
  EXPECT_THAT(words("'re'll'"), ElementsAre("'re", "'ll", "'"));
}

TEST(Pretokenize, LeavesTheLastSpaceToTheWord) {
  EXPECT_THAT(words("a   b"), ElementsAre("a", "  ", " b"));
  EXPECT_THAT(words("a\n\nb"), ElementsAre("a", "\n", "\n", "b"));
  EXPECT_THAT(words("a \n b"), ElementsAre("a", " \n", " b"));
  EXPECT_THAT(words("a   "), ElementsAre("a", "   "));
  EXPECT_THAT(words("\tb"), ElementsAre("\t", "b"));
}

TEST(Pretokenize, UnicodeLettersAndSpaces) {
  EXPECT_THAT(words("\xC3\xA9t\xC3\xA9 \xE4\xB8\xAD\xE6\x96\x87"),
              ElementsAre("\xC3\xA9t\xC3\xA9", " \xE4\xB8\xAD\xE6\x96\x87"));
  EXPECT_THAT(words("a\xC2\xA0"
                    "b"),
              ElementsAre("a", "\xC2\xA0", "b"))
      << "only U+0020 joins a word";
}

std::vector<std::string> words(std::string_view text, const WordSplit& split) {
  std::vector<std::string> found;
  for_each_word(text, split, [&](std::string_view word) { found.emplace_back(word); });
  return found;
}

TEST(Pretokenize, Llama3TakesOneSignBeforeAWordAndThreeDigits) {
  const WordSplit llama3{WordPattern::llama3};
  EXPECT_THAT(words("a.com (b) I'LL 12345", llama3),
              ElementsAre("a", ".com", " (", "b", ")", " I", "'LL", " ", "123", "45"));
  EXPECT_THAT(words("\tx  = y;\n\n  z", llama3),
              ElementsAre("\tx", " ", " =", " y", ";\n\n", " ", " z"));
  EXPECT_THAT(words("a \n \n  b\n", llama3), ElementsAre("a", " \n \n", " ", " b", "\n"));
  EXPECT_THAT(words("'\xC5\xBF", llama3), ElementsAre("'\xC5\xBF"));
}

TEST(Pretokenize, QwenTakesOneDigit) {
  EXPECT_THAT(words("x 123", WordSplit{WordPattern::qwen2}), ElementsAre("x", " ", "1", "2", "3"));
}

// In time that grows with the text alone: what looked back for a line's end would take hours.
TEST(Pretokenize, LinesMayBeLong) {
  constexpr size_t kNumbers = 1000000;
  std::string text;
  for (size_t i = 0; i < kNumbers; ++i) text += " 1";
  size_t count = 0;
  for_each_word(text, WordSplit{WordPattern::llama3}, [&](std::string_view) { ++count; });
  EXPECT_EQ(count, 2 * kNumbers);
}

TEST(Pretokenize, DigitsMayBeCutOutFirst) {
  EXPECT_THAT(words("see 42 !", WordSplit{WordPattern::gpt2, true}),
              ElementsAre("see", " ", "4", "2", " !"));
}

TEST(Pretokenize, CoversArbitraryBytes) {
  const RandomStream stream({3, hash_name("words"), 0});
  const std::string alphabet = "ab1 \n'st\x80\xC3\xA9.\xE2";
  for (uint64_t round = 0; round < 200; ++round) {
    std::string text;
    for (uint64_t i = 0; i < 40; ++i) {
      text.push_back(alphabet[stream.below(round * 40 + i, alphabet.size())]);
    }
    std::string joined;
    for (const std::string& word : words(text)) {
      ASSERT_FALSE(word.empty());
      joined += word;
    }
    ASSERT_EQ(joined, text);
  }
}

}  // namespace
}  // namespace heed::data
