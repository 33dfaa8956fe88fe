#include "data/aspect_texts.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace heed::data {
namespace {

TEST(AspectTexts, SayOfEachAspectWhatTheClassSays) {
  const AspectTextsOptions o;
  std::map<int64_t, int64_t> labels;
  int64_t negations = 0, named = 0;
  for (int64_t index = 0; index < 2000; ++index) {
    const auto [ids, label] = aspect_example(o, 5, index);
    ASSERT_EQ(aspect_example(o, 5, index).first, ids);
    const auto length = static_cast<int64_t>(ids.size());
    EXPECT_GE(length, 24);
    EXPECT_LE(length, 48);
    ++labels[label];
    std::map<int64_t, int64_t> times;
    for (size_t i = 0; i < ids.size(); ++i) {
      ASSERT_GE(ids[i], 2);
      ASSERT_LT(ids[i], 3 + 48 + 940);
      if (ids[i] == 2) {
        EXPECT_EQ(i % 2, 0u);
        EXPECT_TRUE(i + 1 < ids.size() && ids[i + 1] < 51 && ids[i + 1] > 2);
      }
      if (ids[i] < 3 || ids[i] >= 51) continue;
      EXPECT_EQ(i % 2, 1u);
      const int64_t aspect = (ids[i] - 3) / 16;
      const bool good = (ids[i] - 3) / 8 % 2 == 1, negated = ids[i - 1] == 2;
      EXPECT_EQ(good != negated, (label >> aspect & 1) == 1) << index;
      ++times[aspect];
      ++named;
      negations += negated;
    }
    EXPECT_EQ(times, (std::map<int64_t, int64_t>{{0, 2}, {1, 2}, {2, 2}}));
  }
  ASSERT_EQ(labels.size(), 8u);
  for (const auto& [label, count] : labels) EXPECT_NEAR(count, 250, 80) << label;  // 5 deviations
  EXPECT_NEAR(static_cast<double>(negations) / static_cast<double>(named), 0.4, 0.025);
}

TEST(AspectTexts, NoiseFollowsZipfsLaw) {
  AspectTextsOptions o;
  o.noise_words = 10;
  std::map<int64_t, double> counts;
  double all = 0.0, harmonic = 0.0;
  for (int64_t index = 0; index < 3000; ++index) {
    for (const int64_t id : aspect_example(o, 9, index).first) {
      if (id < 51) continue;
      ++counts[id - 51];
      ++all;
    }
  }
  for (int64_t rank = 1; rank <= 10; ++rank) harmonic += 1.0 / static_cast<double>(rank);
  for (int64_t rank = 1; rank <= 10; ++rank)
    EXPECT_NEAR(counts[rank - 1] / all, 1.0 / static_cast<double>(rank) / harmonic, 0.008) << rank;
}

TEST(AspectTexts, AreTextsThatTheirTokenizerReads) {
  const auto data = open_labelled_dataset(
      parse_yaml("{type: aspect-texts, train: 40, validation: 0, test: 5}", "r.yaml"));
  EXPECT_EQ(data->classes(), 8);
  EXPECT_EQ(data->tokenizer()->vocab_size(), 3 + 48 + 940);
  const auto batch = std::get<TextBatch>(data->evaluation_batch(Part::train, 0, {.batch = 40}));
  const auto ids = batch.ids.to_vector<int64_t>();
  const auto lengths = batch.lengths.to_vector<int64_t>();
  for (int64_t row = 0; row < 40; ++row) {
    const std::vector<TokenId> text(
        ids.begin() + row * batch.ids.size(1),
        ids.begin() + row * batch.ids.size(1) + lengths[static_cast<size_t>(row)]);
    EXPECT_EQ(data->tokenizer()->encode(data->tokenizer()->decode(text)), text);
  }
  EXPECT_EQ(data->tokenizer()->decode(std::vector<TokenId>{2, 3, 19, 50, 51}),
            " not foodbad0 roombad0 staffgood7 w0");
}

TEST(AspectTexts, TheLongestIsNotShorterThanTheShortest) {
  EXPECT_THROW(open_labelled_dataset(parse_yaml("{type: aspect-texts, length: 20}", "r.yaml")),
               RequestError);
}

}  // namespace
}  // namespace heed::data
