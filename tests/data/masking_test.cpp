#include "data/masking.h"

#include <gtest/gtest.h>

#include <cmath>

#include "data/batches.h"

namespace heed::data {
namespace {

Tensor counting(int64_t rows, int64_t columns, int64_t vocab) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < rows * columns; ++i) ids.push_back(i % vocab);
  return Tensor::from(ids, {rows, columns});
}

const RandomKey kKey{5, hash_name("test"), 3};

TEST(Masking, SharesAreThoseAskedFor) {
  constexpr int64_t kVocab = 1000, kMask = 1000, kTokens = 64 * 500;
  const Tensor ids = counting(64, 500, kVocab);
  const Masked masked = mask_tokens(ids, {}, kVocab, kMask, {}, kKey);
  const auto before = ids.to_vector<int64_t>(), after = masked.inputs.to_vector<int64_t>(),
             targets = masked.targets.to_vector<int64_t>();
  int64_t selected = 0, hidden = 0, kept = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    if (targets[i] == kIgnoreTarget) {
      ASSERT_EQ(after[i], before[i]);
      continue;
    }
    ASSERT_EQ(targets[i], before[i]);
    ++selected;
    hidden += after[i] == kMask;
    kept += after[i] == before[i];
    ASSERT_TRUE(after[i] >= 0 && after[i] <= kMask);
  }
  EXPECT_EQ(masked.count, selected);
  // Within five standard deviations of binomial draws.
  const auto near = [](int64_t count, int64_t of, double p) {
    const auto n = static_cast<double>(of);
    return std::abs(static_cast<double>(count) - n * p) < 5.0 * std::sqrt(n * p * (1.0 - p));
  };
  EXPECT_TRUE(near(selected, kTokens, 0.15)) << selected;
  EXPECT_TRUE(near(hidden, selected, 0.8)) << hidden;
  EXPECT_TRUE(near(kept, selected, 0.1 + 0.1 / kVocab)) << kept;
}

TEST(Masking, ARowDoesNotDependOnItsBatch) {
  const Tensor ids = counting(6, 20, 50);
  const Masked all = mask_tokens(ids, {}, 50, 50, {}, kKey);
  const std::vector<int64_t> whole = all.inputs.to_vector<int64_t>();
  const std::vector<int64_t> values = ids.to_vector<int64_t>();
  const Tensor last =
      Tensor::from(std::vector<int64_t>(values.begin() + 80, values.end()), {2, 20});
  EXPECT_EQ(mask_tokens(last, {}, 50, 50, {}, kKey, 4).inputs.to_vector<int64_t>(),
            std::vector<int64_t>(whole.begin() + 80, whole.end()));
  EXPECT_NE(mask_tokens(last, {}, 50, 50, {}, kKey, 0).inputs.to_vector<int64_t>(),
            std::vector<int64_t>(whole.begin() + 80, whole.end()));
}

TEST(Masking, PaddingStaysAndEveryRowWithTokensHasATarget) {
  const Tensor ids = counting(3, 10, 50);
  const Tensor lengths = Tensor::from(std::vector<int64_t>{1, 0, 10}, {3});
  for (uint64_t step = 0; step < 50; ++step) {
    const Masked masked = mask_tokens(ids, lengths, 50, 50, {.select = 0.01}, {1, 2, step});
    const auto targets = masked.targets.to_vector<int64_t>();
    EXPECT_EQ(targets[0], 0);  // its only token
    for (size_t i = 1; i < 20; ++i) ASSERT_EQ(targets[i], kIgnoreTarget);
    EXPECT_GE(masked.count, 2);
  }
}

TEST(Masking, LeavesItsInputAlone) {
  const Tensor ids = counting(2, 30, 50);
  const auto before = ids.to_vector<int64_t>();
  mask_tokens(ids, {}, 50, 50, {.select = 1.0}, kKey);
  EXPECT_EQ(ids.to_vector<int64_t>(), before);
}

}  // namespace
}  // namespace heed::data
