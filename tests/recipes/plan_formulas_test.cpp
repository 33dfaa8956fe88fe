// The formulas by themselves: the check numbers of the paper's sheet, the table of what is sent.
#include <gtest/gtest.h>

#include "recipes/engine/plan/formulas.h"
#include "recipes/engine/plan/paper_tables.h"

namespace heed::recipes {
namespace {

constexpr double kRows = 64, kTokens = 512, kDim = 768, kHeads = 12, kHeadDim = 64, kRanks = 4;

TEST(PlanFormulas, GiveThePapersElements) {
  EXPECT_EQ(paper::mlp_tensor(kRows, kTokens, kDim, kRanks), 55050240);
  EXPECT_EQ(paper::mlp_sequence(kRows, kTokens, kDim, kRanks), 50331648);
  EXPECT_EQ(paper::attention_tensor(kRows, kTokens, kDim, kHeads, kHeadDim, kRanks), 103022592);
  EXPECT_EQ(paper::attention_sequence(kRows, kTokens, kDim, kHeads, kHeadDim, kRanks), 91226112);
}

// "SP smaller iff BL > 32 H" (MLP) and "iff BL > 16 AZ" (attention).
TEST(PlanFormulas, SequenceNeedsLessBeyondThePapersBounds) {
  for (const double n : {2.0, 4.0, 64.0}) {
    const double mlp = 32 * kDim, attention = 16 * kHeads * kHeadDim;
    EXPECT_EQ(paper::mlp_tensor(1, mlp, kDim, n), paper::mlp_sequence(1, mlp, kDim, n));
    EXPECT_GT(paper::mlp_tensor(1, mlp + 1, kDim, n), paper::mlp_sequence(1, mlp + 1, kDim, n));
    EXPECT_LT(paper::mlp_tensor(1, mlp - 1, kDim, n), paper::mlp_sequence(1, mlp - 1, kDim, n));
    const auto difference = [&](double tokens) {
      return paper::attention_tensor(1, tokens, kDim, kHeads, kHeadDim, n) -
             paper::attention_sequence(1, tokens, kDim, kHeads, kHeadDim, n);
    };
    EXPECT_EQ(difference(attention), 0);
    EXPECT_GT(difference(attention + 1), 0);
    EXPECT_LT(difference(attention - 1), 0);
  }
}

// Under Linformer every term with the length has the ranks below it.
TEST(PlanFormulas, LinformerNeedsAsMuchForRanksTimesTheLength) {
  const double one = paper::linformer_sequence(4, 1000, kDim, kHeads, kHeadDim, 256, 1);
  EXPECT_EQ(paper::linformer_sequence(4, 32000, kDim, kHeads, kHeadDim, 256, 32), one);
}

// The sheet's table, in units U = (N - 1) B Z (L / N) A of f32 elements.
TEST(PlanFormulas, SendWhatTheTableSays) {
  for (const double n : {2.0, 3.0, 8.0}) {
    const AttentionShare share{2, 96, 12, 12, 64, n};
    const double unit = (n - 1) * 2 * 12 * 96 * 64;
    ASSERT_EQ(sequence_unit(share), unit);
    const auto units = [&](SequenceMethod method) {
      const SentInLayer sent = sent_by_sequence(method, share, 4);
      return std::pair{sent.forward_bytes / 4 / unit, sent.backward_bytes / 4 / unit};
    };
    EXPECT_EQ(units(SequenceMethod::rsa), std::pair(2.0, 4.0));
    EXPECT_EQ(units(SequenceMethod::ring), std::pair(2.0, 4.0));
    EXPECT_NEAR(units(SequenceMethod::heads).first, 4 / n, 1e-12);
    EXPECT_NEAR(units(SequenceMethod::heads).second, 4 / n, 1e-12);
    // Tensor parallelism: 8 U, whatever N, for the same [B, L, H].
    EXPECT_NEAR(sent_by_tensor(2, 96 * n, 768, n, 4) / 4 / unit, 8, 1e-9);
  }
  // In halves the ring's gradients are f32 all the same.
  const AttentionShare share{2, 96, 12, 12, 64, 4};
  const SentInLayer full = sent_by_sequence(SequenceMethod::ring, share, 4);
  const SentInLayer half = sent_by_sequence(SequenceMethod::ring, share, 2);
  EXPECT_EQ(half.forward_bytes, full.forward_bytes / 2);
  EXPECT_GT(half.backward_bytes, full.backward_bytes / 2);
}

TEST(PlanFormulas, GroupedKeysTravelByGroup) {
  const AttentionShare all{2, 96, 12, 12, 64, 4}, grouped{2, 96, 12, 3, 64, 4};
  for (const SequenceMethod method : {SequenceMethod::rsa, SequenceMethod::ring}) {
    EXPECT_EQ(4 * sent_by_sequence(method, grouped, 4).forward_bytes,
              sent_by_sequence(method, all, 4).forward_bytes);
  }
}

TEST(PlanFormulas, OneRankSendsNothing) {
  const AttentionShare share{2, 96, 12, 12, 64, 1};
  for (const SequenceMethod method :
       {SequenceMethod::rsa, SequenceMethod::ring, SequenceMethod::heads}) {
    const SentInLayer sent = sent_by_sequence(method, share, 4);
    EXPECT_EQ(sent.forward_bytes + sent.backward_bytes + sent.messages, 0);
  }
  EXPECT_EQ(sent_by_all_reduce(1000, 1), 0);
  EXPECT_EQ(sent_by_tensor(2, 96, 768, 1, 4), 0);
}

// RSA keeps rows of scores [c, L], the others a number a row.
TEST(PlanFormulas, OnlyRsaKeepsScores) {
  const AttentionShare share{2, 128, 12, 12, 64, 4};
  EXPECT_EQ(kept_by_attention(SequenceMethod::rsa, share, 4), 4.0 * 2 * 12 * 128 * 512);
  EXPECT_EQ(kept_by_attention(SequenceMethod::ring, share, 4), 4.0 * 2 * 12 * 128);
  EXPECT_EQ(kept_by_attention(SequenceMethod::heads, share, 4), 4.0 * 2 * 12 * 128);
}

TEST(PlanFormulas, OneForwardOneBackward) {
  EXPECT_EQ(in_flight(4, 0, 16), 4);
  EXPECT_EQ(in_flight(4, 3, 16), 1);
  EXPECT_EQ(in_flight(4, 0, 2), 2);
  EXPECT_DOUBLE_EQ(bubble(4, 12), 3.0 / 15);
  EXPECT_EQ(bubble(1, 12), 0);
}

// What the published ratios are said to come to in docs/parallelism.md: the order of each is right,
// and none is off by more than a third.
TEST(PaperTables, AreNearThePublishedRatios) {
  const auto ratio = [](int64_t sequence, int64_t tensor) {
    return static_cast<double>(sequence) / static_cast<double>(tensor);
  };
  const auto batch = [&](const PaperModel& model, double tensor_ranks) {
    return ratio(paper_largest_batch(model, PaperScheme::sequence, 512, 64),
                 paper_largest_batch(model, PaperScheme::tensor, 512, tensor_ranks));
  };
  EXPECT_NEAR(batch(kBertBase, 12), 13.7, 13.7 / 3);
  EXPECT_NEAR(batch(kBertLarge, 16), 10.2, 10.2 / 3);
  const int64_t tensor = paper_longest(kBertBase, PaperScheme::tensor, 64, 12);
  EXPECT_NEAR(ratio(paper_longest(kBertBase, PaperScheme::sequence, 64, 64), tensor), 3.0, 0.3);
  EXPECT_NEAR(ratio(paper_longest(kBertBase, PaperScheme::sequence, 64, 16), tensor), 1.4, 0.2);
  EXPECT_GT(paper_longest(kBertBase, PaperScheme::linformer, 4, 32), 114000);
  // Weak scaling: constant for sequences, growing for tensors.
  const auto bytes = [](PaperScheme method, double n) {
    return paper_bytes(kBertBase, method, 64 * n, 512, n);
  };
  for (const double n : {2.0, 4.0, 8.0}) {
    EXPECT_EQ(bytes(PaperScheme::sequence, n), bytes(PaperScheme::sequence, 1));
    EXPECT_GT(bytes(PaperScheme::tensor, n), bytes(PaperScheme::tensor, n / 2));
  }
}

}  // namespace
}  // namespace heed::recipes
