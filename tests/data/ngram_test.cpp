#include "data/ngram.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/files.h"
#include "core/random.h"
#include "data/byte_tokenizer.h"
#include "data/char_tokenizer.h"
#include "tests/data/test_data.h"

namespace heed::data {
namespace {

Tokens random_tokens(uint64_t seed, int64_t count, int64_t vocab) {
  const RandomStream stream({seed, hash_name("tokens"), 0});
  std::vector<TokenId> ids;
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t a = stream.below(static_cast<uint64_t>(2 * i), static_cast<uint64_t>(vocab));
    const uint64_t b =
        stream.below(static_cast<uint64_t>(2 * i + 1), a + 1);  // small ids more often
    ids.push_back(static_cast<TokenId>(b));
  }
  return Tokens(ids, vocab);
}

TEST(Ngram, ProbabilitiesSumToOneInEveryContext) {
  constexpr int64_t kVocab = 11;
  const Tokens train = random_tokens(1, 400, kVocab);
  for (const int order : {1, 2, 3, 5}) {
    const Ngram ngram(train, order);
    for (const std::vector<TokenId>& history : std::initializer_list<std::vector<TokenId>>{
             {}, {0}, {3, 0}, {0, 1, 0}, {10, 10, 10, 10}, {1, 0, 2, 0, 1}}) {
      double sum = 0;
      for (TokenId token = 0; token < kVocab; ++token) {
        const double p = ngram.probability(history, token);
        EXPECT_GT(p, 0);
        sum += p;
      }
      EXPECT_NEAR(sum, 1, 1e-12) << "order " << order;
    }
  }
}

// "ab ab ac" by hand. Unigrams a 3, b 2, c 1, ' ' 2, so n1 = 1, n2 = 2 and D = 1/5.
TEST(Ngram, UnigramEqualsTheFormulaByHand) {
  const CharTokenizer chars = CharTokenizer::from_texts({" abc"});
  const Ngram unigram(Tokens(chars.encode("ab ab ac"), 4), 1);
  const double discount = 1.0 / 5;
  const auto p = [&](double count) { return (count - discount + discount * 4 / 4) / 8; };
  EXPECT_DOUBLE_EQ(unigram.probability({}, chars.encode("a")[0]), p(3));
  EXPECT_DOUBLE_EQ(unigram.probability({}, chars.encode("c")[0]), p(1));
}

// Bigrams of "^aab" (^ before the text): ^a, aa, ab once each, so n1 = 3, n2 = 0, D_2 = 1.
// Different tokens before a: 2 (^ and a), before b: 1 (a), so c_1 = 2, 1, n1 = 1, n2 = 1, D_1 =
// 1/3.
TEST(Ngram, BigramEqualsTheFormulaByHand) {
  const std::vector<TokenId> ids = {0, 0, 1};
  const Ngram bigram(Tokens(ids, 2), 2);
  const double d1 = 1.0 / 3;
  const double p1_a = (2 - d1 + d1 * 2 * 0.5) / 3, p1_b = (1 - d1 + d1 * 2 * 0.5) / 3;
  const std::vector<TokenId> a = {0}, b = {1};
  EXPECT_DOUBLE_EQ(bigram.probability(a, 0), (0 + 1 * 2 * p1_a) / 2);
  EXPECT_DOUBLE_EQ(bigram.probability(a, 1), (0 + 1 * 2 * p1_b) / 2);
  EXPECT_DOUBLE_EQ(bigram.probability(b, 1), p1_b) << "nothing was seen after b";
  EXPECT_DOUBLE_EQ(bigram.probability({}, 0), p1_a) << "only a was seen at the start: (1-1+p)/1";
}

TEST(Ngram, ScoreIsTheSumOfItsProbabilities) {
  const ByteTokenizer bytes;
  const Tokens train = random_tokens(2, 3000, 257), heldout = random_tokens(3, 40000, 257);
  const Ngram ngram(train, 3);
  double nats = 0;
  for (int64_t i = 1; i < heldout.size(); ++i) {
    nats -= std::log(ngram.probability(
        heldout.slice(std::max<int64_t>(0, i - 5), std::min<int64_t>(i, 5)), heldout[i]));
  }
  const Score score = ngram.score(heldout, bytes);
  EXPECT_EQ(score.tokens, heldout.size() - 1);
  EXPECT_NEAR(score.nats, nats, nats * 1e-12);
}

TEST(Ngram, SpecialTokensStandForNoBytes) {
  const ByteTokenizer bytes;
  const std::vector<TokenId> ids = {65, 66, 256, 67};
  const Tokens tokens(ids, 257);
  EXPECT_EQ(text_bytes(tokens, bytes, 0, 4), 3);
  const Score score = Ngram(tokens, 1).score(tokens, bytes);
  EXPECT_EQ(score.tokens, 3);
  EXPECT_EQ(score.bytes, 2);
  EXPECT_DOUBLE_EQ(score.bits_per_byte() * 2, score.bits_per_token() * 3);
}

TEST(Ngram, UniformTextCostsItsEntropy) {
  const ByteTokenizer bytes;
  const RandomStream stream({4, hash_name("uniform"), 0});
  const auto draw = [&](uint64_t offset, int64_t count) {
    std::vector<TokenId> ids;
    for (int64_t i = 0; i < count; ++i) {
      ids.push_back(static_cast<TokenId>(stream.below(offset + static_cast<uint64_t>(i), 4)));
    }
    return Tokens(ids, 257);
  };
  const Score score = Ngram(draw(0, 50000), 2).score(draw(1 << 20, 20000), bytes);
  // 2 bits; estimating 16 probabilities from 50,000 draws costs about 12 / (2 * 50,000 ln 2)
  EXPECT_NEAR(score.bits_per_token(), 2, 0.002);
}

TEST(Ngram, RefusesAnImpossibleRequest) {
  const std::vector<TokenId> ids = {1};
  EXPECT_THROW(Ngram(Tokens(ids, 2), 0), RequestError);
  EXPECT_THROW(Ngram(Tokens({}, 2), 1), RequestError);
  EXPECT_THROW(Ngram(Tokens(ids, 2), 1).score(Tokens(ids, 2), ByteTokenizer()), RequestError);
}

TEST(Ngram, LongerContextsHelpOnRealText) {
  HEED_REAL_DATA(path, "text/tinyshakespeare.txt");
  const std::string text = read_file(path);
  const ByteTokenizer bytes;
  const size_t cut = text.size() * 9 / 10;
  const Tokens train(bytes.encode(text.substr(0, cut)), 257);
  const Tokens heldout(bytes.encode(text.substr(cut)), 257);
  double last = 8;
  for (const int order : {1, 2, 3, 5}) {
    const Score score = Ngram(train, order).score(heldout, bytes);
    RecordProperty("bits_per_byte_order_" + std::to_string(order),
                   std::to_string(score.bits_per_byte()));
    EXPECT_LT(score.bits_per_byte(), last);
    last = score.bits_per_byte();
  }
  EXPECT_LT(last, 2.6) << "a 5-gram of bytes";
}

}  // namespace
}  // namespace heed::data
