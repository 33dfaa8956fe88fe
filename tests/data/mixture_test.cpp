#include "data/mixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "data/batches.h"
#include "data/prefetch.h"
#include "tests/core/raises.h"

namespace heed::data {
namespace {

TEST(Mixture, CountsWhatItDraws) {
  for (const std::vector<double>& weights :
       {std::vector<double>{1}, {1, 1}, {0.7, 0.2, 0.1}, {1000, 1, 3, 7}, {2, 5, 1e-2}}) {
    const Mixture mixture(7, weights);
    double sum = 0;
    for (const double weight : weights) sum += weight;
    std::vector<uint64_t> seen(weights.size());
    for (uint64_t row = 0; row < 3 * Mixture::kBlock + 5; ++row) {
      if (row % 1111 == 0 || row % Mixture::kBlock == 0) {
        for (size_t c = 0; c < weights.size(); ++c) ASSERT_EQ(mixture.count(c, row), seen[c]);
      }
      if (row > 0 && row % Mixture::kBlock == 0) {
        for (size_t c = 0; c < weights.size(); ++c) {
          // Two roundings of a row, and weights in 2^-20 of their sum.
          const double want = static_cast<double>(row) * weights[c] / sum;
          ASSERT_NEAR(static_cast<double>(seen[c]), want, 2 + static_cast<double>(row) * 0x1p-20);
        }
      }
      const Mixture::Draw draw = mixture(row);
      ASSERT_LT(draw.corpus, weights.size());
      if (weights.size() == 1) {
        ASSERT_EQ(draw.nth, row);
      }
      ++seen[draw.corpus];
    }
  }
}

// Within a block the numbers of a corpus's rows come in another order, but each once.
TEST(Mixture, NumbersEachCorpusRowsOnce) {
  const Mixture mixture(3, {5, 2});
  std::vector<std::vector<bool>> seen(2, std::vector<bool>(4 * Mixture::kBlock));
  const uint64_t rows = 4 * Mixture::kBlock;
  for (uint64_t row = 0; row < rows; ++row) {
    const Mixture::Draw draw = mixture(row);
    ASSERT_FALSE(seen[draw.corpus][draw.nth]);
    seen[draw.corpus][draw.nth] = true;
  }
  for (size_t c = 0; c < 2; ++c) {
    for (uint64_t n = 0; n < mixture.count(c, rows); ++n) ASSERT_TRUE(seen[c][n]);
  }
}

TEST(Mixture, DrawsItsOrderBySeedAndBlock) {
  const Mixture a(1, {1, 1}), same(1, {2, 2}), other(2, {1, 1});
  int differ = 0, blocks_differ = 0;
  for (uint64_t row = 0; row < 1000; ++row) {
    ASSERT_EQ(a(row).corpus, same(row).corpus);
    differ += a(row).corpus != other(row).corpus;
    blocks_differ += a(row).corpus != a(row + Mixture::kBlock).corpus;
  }
  // Fair coins differ half of the time: six deviations of sqrt(1000) / 2 are 95.
  EXPECT_NEAR(differ, 500, 95);
  EXPECT_NEAR(blocks_differ, 500, 95);
}

TEST(Mixture, RefusesWhatWouldNeverCome) {
  EXPECT_THAT(request_error([] { Mixture(0, {1, 1e-4}); }), testing::HasSubstr("least share"));
  EXPECT_THAT(request_error([] { Mixture(0, {1, 0}); }), testing::HasSubstr("weight of 0"));
  EXPECT_THAT(request_error([] { Mixture(0, {1, NAN}); }), testing::HasSubstr("weight of nan"));
  EXPECT_EQ(request_error([] { Mixture(0, {1e-9}); }), "no error") << "alone it has all";
}

Tokens counted(int64_t size) {
  std::vector<TokenId> ids(static_cast<size_t>(size));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<TokenId>(i);
  return {ids, size};
}

WindowOptions mixed() {
  WindowOptions options{.batch = 6, .context = 5, .seed = 9, .sampling = "epochs"};
  options.corpora = {{"small", 0, 5 * 8 + 1, 1}, {"large", 41, 5 * 20 + 1, 2}};
  return options;
}

TEST(MixedWindows, EveryCorpusHasEpochsOfItsOwn) {
  const Tokens tokens = counted(142);
  const WindowBatches batches(tokens, mixed());
  std::map<int64_t, int64_t> times;  // by first token
  for (int64_t index = 0; index < 4 * 4096 / 2 / 6 * 3; ++index) {
    const std::vector<int64_t> ids = batches(index).inputs.to_vector<int64_t>();
    for (size_t row = 0; row < 6; ++row) ++times[ids[5 * row]];
  }
  ASSERT_EQ(times.size(), 28u) << "every window of both";
  const auto spread = [&](int64_t from, int64_t to) {
    int64_t least = INT64_MAX, most = 0;
    for (const auto& [first, count] : times) {
      if (first < from || first >= to) continue;
      least = std::min(least, count);
      most = std::max(most, count);
    }
    return std::pair(least, most);
  };
  // Rows within a block come out of order, so the last epochs may be begun but not ended.
  const auto [least_small, most_small] = spread(0, 41);
  const auto [least_large, most_large] = spread(41, 142);
  EXPECT_LE(most_small - least_small, 1 + 4096 / 3 / 8);
  EXPECT_LE(most_large - least_large, 1 + 4096 * 2 / 3 / 20);
  EXPECT_GT(least_small, least_large) << "a third of the rows for 8 windows of 28";
}

TEST(MixedWindows, RanksAndThreadsSeeTheSame) {
  const Tokens tokens = counted(142);
  WindowOptions options = mixed();
  options.documents = true;
  const WindowBatches whole(tokens, options);
  std::vector<std::vector<int64_t>> want;
  for (int64_t index = 0; index < 20; ++index)
    want.push_back(whole(index).inputs.to_vector<int64_t>());
  for (const int threads : {1, 3}) {
    for (const int64_t world : {1, 2, 3}) {
      std::vector<std::vector<int64_t>> got(20);
      for (int64_t rank = 0; rank < world; ++rank) {
        options.slice = {rank, world};
        const WindowBatches own(tokens, options);
        Prefetcher<Batch> ahead([&](int64_t index) { return own(index); }, {.threads = threads});
        for (auto& batch : got) {
          const std::vector<int64_t> rows = ahead.next().inputs.to_vector<int64_t>();
          batch.insert(batch.end(), rows.begin(), rows.end());
        }
      }
      EXPECT_EQ(got, want) << world << " ranks, " << threads << " threads";
    }
  }
}

// Adding a corpus leaves the order within the others.
TEST(MixedWindows, NamesKeyTheOrder) {
  const Tokens tokens = counted(142);
  WindowOptions one = mixed(), two = mixed();
  one.corpora.erase(one.corpora.begin());
  const auto order = [&](const WindowOptions& options) {
    std::map<uint64_t, int64_t> firsts;  // of the large corpus, by its rows' numbers
    const WindowBatches batches(tokens, options);
    const Mixture mixture(options.seed, options.corpora.size() == 1 ? std::vector<double>{2}
                                                                    : std::vector<double>{1, 2});
    for (int64_t index = 0; index < 300; ++index) {
      const std::vector<int64_t> ids = batches(index).inputs.to_vector<int64_t>();
      for (int64_t row = 0; row < 6; ++row) {
        const Mixture::Draw draw = mixture(static_cast<uint64_t>(index * 6 + row));
        if (draw.corpus + 1 == options.corpora.size())
          firsts[draw.nth] = ids[static_cast<size_t>(5 * row)];
      }
    }
    return firsts;
  };
  const auto alone = order(one), among = order(two);
  int compared = 0;
  for (const auto& [nth, first] : alone) {
    if (!among.contains(nth)) continue;
    EXPECT_EQ(among.at(nth), first);
    ++compared;
  }
  EXPECT_GT(compared, 100);
}

// Against the definition, token by token, for documents of every length and windows anywhere.
TEST(PackedWindows, EndAtTheBordersOfDocuments) {
  Tokens tokens(100);
  std::vector<int64_t> document_of;
  const std::vector<int64_t> lengths = {3, 1, 1, 7, 2, 20, 1, 5, 11};
  for (size_t d = 0; d < lengths.size(); ++d) {
    tokens.begin_document();
    for (int64_t i = 0; i < lengths[d]; ++i) {
      tokens.append(std::vector<TokenId>{static_cast<TokenId>(document_of.size())});
      document_of.push_back(static_cast<int64_t>(d));
    }
  }
  WindowOptions options{.batch = 8, .context = 9, .seed = 1};
  options.documents = true;
  const WindowBatches batches(tokens, options);
  for (int64_t index = 0; index < 40; ++index) {
    const Batch batch = batches(index);
    const std::vector<int64_t> x = batch.inputs.to_vector<int64_t>(),
                               y = batch.targets.to_vector<int64_t>(),
                               d = batch.documents.to_vector<int64_t>();
    int64_t count = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const int64_t here = document_of[static_cast<size_t>(x[i])];
      const int64_t next = document_of[static_cast<size_t>(x[i]) + 1];
      ASSERT_EQ(y[i], here == next ? x[i] + 1 : kIgnoreTarget);
      count += here == next;
      const size_t first = i / 9 * 9;
      ASSERT_EQ(d[i], here - document_of[static_cast<size_t>(x[first])]);
    }
    ASSERT_EQ(batch.count, count);
  }
  // Evaluation: every token is predicted once but for documents' first ones.
  const EvaluationBatches evaluation(tokens, 2, 9, 0, {}, true);
  int64_t predicted = 0;
  for (int64_t i = 0; i < evaluation.size(); ++i) predicted += evaluation(i).count;
  EXPECT_EQ(predicted, std::ssize(document_of) - std::ssize(lengths));
}

}  // namespace
}  // namespace heed::data
