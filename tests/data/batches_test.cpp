#include "data/batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "data/permutation.h"

namespace heed::data {
namespace {

using testing::HasSubstr;

// 0, 1, 2, ...: a token is its own place.
Tokens places(int64_t count) {
  std::vector<TokenId> ids(static_cast<size_t>(count));
  std::iota(ids.begin(), ids.end(), 0);
  return Tokens(ids, count);
}

std::vector<int64_t> values(const Tensor& tensor) { return tensor.to_vector<int64_t>(); }

TEST(Tokens, HoldsWideAndNarrowVocabularies) {
  const std::vector<TokenId> ids = {0, 65535, 7};
  const Tokens narrow(ids, 65536), wide(ids, 65537);
  for (const Tokens* tokens : {&narrow, &wide}) {
    EXPECT_EQ(tokens->slice(0, 3), ids);
    EXPECT_EQ((*tokens)[1], 65535);
    EXPECT_THROW(tokens->slice(1, 3), Error);
    EXPECT_THROW(tokens->slice(-1, 1), Error);
  }
  EXPECT_THROW(Tokens(ids, 65535), Error);
}

TEST(Permutation, IsOneForEverySizeAndKey) {
  for (const uint64_t n : {1u, 2u, 3u, 5u, 16u, 17u, 1000u}) {
    for (uint64_t seed = 0; seed < 3; ++seed) {
      const Permutation order({seed, 1, 2}, n);
      std::set<uint64_t> seen;
      for (uint64_t i = 0; i < n; ++i) seen.insert(order(i));
      ASSERT_EQ(seen.size(), n);
      ASSERT_LT(*seen.rbegin(), n);
    }
  }
  EXPECT_THROW(Permutation({}, 5)(5), Error);
}

TEST(Permutation, SendsAnElementEverywhere) {
  constexpr uint64_t kPlaces = 10, kDraws = 20000;
  std::vector<double> counts(kPlaces);
  for (uint64_t seed = 0; seed < kDraws; ++seed) ++counts[Permutation({seed, 0, 0}, kPlaces)(3)];
  const double expected = kDraws / static_cast<double>(kPlaces);
  double chi2 = 0;
  for (const double count : counts) chi2 += (count - expected) * (count - expected) / expected;
  EXPECT_LT(chi2, 33.7) << "chi-squared with 9 degrees of freedom exceeds this once in 10,000";
}

TEST(WindowBatches, TargetsFollowInputs) {
  const Tokens tokens = places(100);
  for (const std::string sampling : {"random", "epochs"}) {
    const WindowBatches batches(tokens,
                                {.batch = 4, .context = 7, .seed = 1, .sampling = sampling});
    for (int64_t index = 0; index < 20; ++index) {
      const Batch batch = batches(index);
      ASSERT_EQ(batch.inputs.shape(), (Shape{4, 7}));
      ASSERT_EQ(batch.count, 28);
      const auto x = values(batch.inputs), y = values(batch.targets);
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(y[i], x[i] + 1);
        if (i % 7 > 0) {
          ASSERT_EQ(x[i], x[i - 1] + 1);
        }
      }
    }
  }
}

TEST(WindowBatches, RandomStartsReachBothEnds) {
  const Tokens tokens = places(12);
  const WindowBatches batches(tokens, {.batch = 8, .context = 5});
  std::set<int64_t> starts;
  for (int64_t index = 0; index < 50; ++index) {
    const auto x = values(batches(index).inputs);
    for (size_t row = 0; row < 8; ++row) starts.insert(x[row * 5]);
  }
  EXPECT_THAT(starts, testing::ElementsAre(0, 1, 2, 3, 4, 5, 6)) << "as nanoGPT: below 12 - 5";
}

TEST(WindowBatches, AnEpochShowsEveryWindowOnce) {
  const Tokens tokens = places(10 * 7 + 1);  // ten windows of seven
  const WindowBatches batches(tokens, {.batch = 5, .context = 7, .seed = 3, .sampling = "epochs"});
  EXPECT_EQ(batches.per_epoch(), 2);
  std::vector<std::vector<int64_t>> orders;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int64_t> starts;
    for (int64_t b = 0; b < 2; ++b) {
      const auto x = values(batches(2 * epoch + b).inputs);
      for (size_t row = 0; row < 5; ++row) starts.push_back(x[row * 7]);
    }
    orders.push_back(starts);
    std::sort(starts.begin(), starts.end());
    for (int64_t w = 0; w < 10; ++w) EXPECT_EQ(starts[static_cast<size_t>(w)], 7 * w);
  }
  EXPECT_NE(orders[0], orders[1]);
  EXPECT_NE(orders[1], orders[2]);
}

TEST(WindowBatches, DependOnSeedAndIndexOnly) {
  const Tokens tokens = places(1000);
  const WindowBatches a(tokens, {.seed = 1}), same(tokens, {.seed = 1}), other(tokens, {.seed = 2});
  EXPECT_EQ(values(a(5).inputs), values(same(5).inputs));
  EXPECT_NE(values(a(5).inputs), values(a(6).inputs));
  EXPECT_NE(values(a(5).inputs), values(other(5).inputs));
}

TEST(WindowBatches, RanksShareTheRowsOfOneBatch) {
  const Tokens tokens = places(500);
  for (const std::string sampling : {"random", "epochs"}) {
    WindowOptions options{.batch = 6, .context = 9, .seed = 4, .sampling = sampling};
    const auto whole = values(WindowBatches(tokens, options)(3).inputs);
    for (const int64_t world : {2, 3, 6}) {
      std::vector<int64_t> joined;
      for (int64_t rank = 0; rank < world; ++rank) {
        options.slice = {rank, world};
        const auto part = values(WindowBatches(tokens, options)(3).inputs);
        joined.insert(joined.end(), part.begin(), part.end());
      }
      EXPECT_EQ(joined, whole) << world << " ranks, " << sampling;
    }
    options.slice = {0, 4};
    EXPECT_THROW(WindowBatches(tokens, options), RequestError);
  }
}

TEST(WindowBatches, SayHowManyTokensAreNeeded) {
  const Tokens tokens = places(64);
  try {
    WindowBatches(tokens, {.context = 64});
    FAIL();
  } catch (const RequestError& error) {
    EXPECT_THAT(error.what(), HasSubstr("needs 65"));
  }
  EXPECT_THROW(WindowBatches(tokens, {.context = 8, .sampling = "shuffled"}), RequestError);
  EXPECT_NO_THROW(WindowBatches(tokens, {.context = 63}));
}

TEST(EvaluationBatches, PredictEveryTokenButTheFirstOnce) {
  for (const int64_t size : {2, 7, 8, 9, 50, 57, 64, 65, 66}) {
    const Tokens tokens = places(size);
    const EvaluationBatches batches(tokens, 2, 4);
    std::vector<int64_t> predicted;
    int64_t count = 0;
    for (int64_t index = 0; index < batches.size(); ++index) {
      const Batch batch = batches(index);
      ASSERT_EQ(batch.inputs.shape(), (Shape{2, 4}));
      const auto x = values(batch.inputs), y = values(batch.targets);
      for (size_t i = 0; i < y.size(); ++i) {
        if (y[i] == kIgnoreTarget) continue;
        predicted.push_back(y[i]);
        ASSERT_EQ(x[i], y[i] - 1);
      }
      EXPECT_GT(batch.count, 0);
      count += batch.count;
    }
    ASSERT_EQ(static_cast<int64_t>(predicted.size()), size - 1);
    for (int64_t i = 0; i < size - 1; ++i) ASSERT_EQ(predicted[static_cast<size_t>(i)], i + 1);
    EXPECT_EQ(count, size - 1);
    EXPECT_EQ(batches.predicted(), size - 1);
  }
}

TEST(EvaluationBatches, StopAtTheCap) {
  const Tokens tokens = places(100);
  const EvaluationBatches batches(tokens, 2, 4, 3);
  EXPECT_EQ(batches.size(), 3);
  EXPECT_EQ(batches.predicted(), 24);
  EXPECT_THROW(batches(3), Error);
  EXPECT_THROW(EvaluationBatches(places(1), 2, 4), RequestError);
}

TEST(EvaluationBatches, RanksShareTheRows) {
  const Tokens tokens = places(21);
  const EvaluationBatches whole(tokens, 4, 3);
  for (int64_t index = 0; index < whole.size(); ++index) {
    std::vector<int64_t> joined;
    int64_t count = 0;
    for (int64_t rank = 0; rank < 2; ++rank) {
      const EvaluationBatches share(tokens, 4, 3, 0, {rank, 2});
      ASSERT_EQ(share.size(), whole.size()) << "every rank takes part in every batch";
      const Batch batch = share(index);
      const auto part = values(batch.targets);
      joined.insert(joined.end(), part.begin(), part.end());
      count += batch.count;
    }
    EXPECT_EQ(joined, values(whole(index).targets));
    EXPECT_EQ(count, whole(index).count);
  }
}

}  // namespace
}  // namespace heed::data
