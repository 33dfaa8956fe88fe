#include "core/random.h"

#include <gtest/gtest.h>

#include <cmath>

namespace heed {
namespace {

// Known answers of the Random123 distribution (kat_vectors, philox4x32-10).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, MomentsOfUniformAndNormal) {
  const RandomStream stream(RandomKey{7, hash_name("test"), 3});
  constexpr int kCount = 200000;
  double uniform = 0, normal = 0, square = 0;
  for (int i = 0; i < kCount; ++i) {
    const float u = stream.uniform(static_cast<uint64_t>(i));
    ASSERT_GE(u, 0.0f);
    ASSERT_LT(u, 1.0f);
    uniform += u;
    const float z = stream.normal(static_cast<uint64_t>(i));
    normal += z;
    square += z * z;
  }
  // five standard errors of each mean
  EXPECT_NEAR(uniform / kCount, 0.5, 5 * std::sqrt(1.0 / 12 / kCount));
  EXPECT_NEAR(normal / kCount, 0.0, 5 / std::sqrt(kCount));
  EXPECT_NEAR(square / kCount, 1.0, 5 * std::sqrt(2.0 / kCount));
}

TEST(RandomStream, DependsOnSeedPurposeAndStep) {
  const RandomKey key{1, 2, 3};
  const uint32_t word = RandomStream(key).word(0);
  EXPECT_NE(word, RandomStream(RandomKey{2, 2, 3}).word(0));
  EXPECT_NE(word, RandomStream(RandomKey{1, 3, 3}).word(0));
  EXPECT_NE(word, RandomStream(RandomKey{1, 2, 4}).word(0));
  EXPECT_NE(word, RandomStream(key.derive("x")).word(0));
  EXPECT_EQ(word, RandomStream(key).word(0));
}

}  // namespace
}  // namespace heed
