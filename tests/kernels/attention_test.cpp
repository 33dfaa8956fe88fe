// The kernels by themselves: sizes, dtypes, strides, threads, what is wanted and what is refused.
// Their patterns and scores: attention_spec_test.cpp.
#include "kernels/attention/attention.h"

#include <gtest/gtest.h>

#include "core/parallel.h"
#include "core/views.h"
#include "kernels/attention/fused.h"
#include "kernels/attention/plan.h"
#include "kernels/copy/copy.h"
#include "tests/kernels/attention_check.h"

namespace heed {
namespace {

using namespace testing;

TEST(Attention, DenseEqualsMaterialisedScores) {
  for (const Sizes& s : kSizes)
    for (const DType dtype : kDTypes) expect_matches(s, dtype, {});
}

/// The fused kernels without the processor's products of pairs of bf16.
Results run_without_pairs(const Sizes& s, const Inputs& in, const AttentionSpec& spec) {
  kernels::attn::Problem problem(
      {s.batch, s.heads, s.kv_heads, s.queries, s.keys, s.head_dim, s.value_dim}, spec, DType::f32);
  problem.pairs = false;
  const auto like = [](const Tensor& x) { return Tensor::empty(x.shape(), x.dtype()); };
  Results r{{like(in.dout), like(in.dlse)}, {like(in.q), like(in.k), like(in.v)}};
  kernels::attn::fused_forward(problem, in.q, in.k, in.v, r.forward.out, r.forward.lse);
  kernels::attn::fused_backward(problem, in.dout, in.dlse, in.q, in.k, in.v, r.forward, r.grads);
  return r;
}

TEST(Attention, BFloat16WithoutProductsOfPairsEqualsMaterialisedScores) {
  for (const Sizes& s : kSizes) {
    const Inputs in(s, DType::bf16);
    for (AttentionSpec spec :
         {AttentionSpec{}, AttentionSpec{.pattern = AttentionPattern::window(40, 3)},
          AttentionSpec{.score = {.scale = -0.3}, .dropout = 0.2, .dropout_key = {1, 2, 3}}})
      expect_matches(s, DType::bf16, spec, in, run_without_pairs(s, in, spec));
  }
}

TEST(Attention, CausalEqualsMaterialisedScores) {
  for (const Sizes& s : kSizes) {
    for (const int64_t offset : {int64_t{0}, int64_t{5}, s.keys - s.queries, -s.queries / 2}) {
      const AttentionSpec spec{.pattern = AttentionPattern::causal(offset)};
      for (const DType dtype : kDTypes) expect_matches(s, dtype, spec);
    }
  }
}

TEST(Attention, ScaleAndAlibiEqualMaterialisedScores) {
  for (const Sizes& s : kSizes) {
    AttentionSpec spec{.pattern = AttentionPattern::causal(s.keys - s.queries)};
    spec.score.scale = 0.3;
    for (int64_t h = 0; h < s.heads; ++h)
      spec.score.alibi.push_back(std::exp2(-static_cast<float>(h + 1)));
    for (const DType dtype : kDTypes) expect_matches(s, dtype, spec);
    spec.pattern = AttentionPattern::dense();
    spec.score.scale = -0.2;
    for (const DType dtype : kDTypes) expect_matches(s, dtype, spec);
  }
}

TEST(Attention, FewQueriesOverManyKeysEqualMaterialisedScores) {
  for (const Sizes& s : {Sizes{1, 2, 2, 1, 700, 16, 16}, Sizes{2, 8, 2, 1, 1111, 64, 80},
                         Sizes{1, 4, 1, 4, 515, 128, 64}, Sizes{1, 3, 3, 3, 64, 48, 32}}) {
    const int64_t last = s.keys - s.queries;
    for (const AttentionPattern& pattern :
         {AttentionPattern::causal(last), AttentionPattern::window(37, 0, last),
          AttentionPattern::causal(last) &
              (AttentionPattern::window(90, 0, last) | AttentionPattern::prefix(5)),
          AttentionPattern::where("odd keys", [](int64_t, int64_t j) { return j % 2 == 1; })}) {
      for (const DType dtype : {DType::f32, DType::bf16}) expect_matches(s, dtype, {pattern});
    }
  }
}

TEST(Attention, ValuesThatNoQuerySeesMayBeAnything) {
  Inputs in({1, 2, 1, 2, 600, 32, 32}, DType::f32);
  const AttentionSpec spec{.pattern = AttentionPattern::window(99, 0, 400)};
  const auto want = kernels::attention(in.q, in.k, in.v, spec).out.to_vector<float>();
  for (const int64_t j : {int64_t{0}, int64_t{300}, int64_t{402}, int64_t{599}})
    std::fill_n(in.v.data<float>() + j * 32, 32, std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(kernels::attention(in.q, in.k, in.v, spec).out.to_vector<float>(), want);
}

TEST(Attention, DropoutEqualsMaterialisedScoresUnderTheSameMask) {
  for (const Sizes& s : kSizes) {
    AttentionSpec spec{.dropout = 0.3, .dropout_key = {11, 5, 2}};
    for (const DType dtype : kDTypes) expect_matches(s, dtype, spec);
    spec.pattern = AttentionPattern::causal(s.keys - s.queries);
    for (const DType dtype : kDTypes) expect_matches(s, dtype, spec);
  }
}

TEST(Attention, DropoutKeepsTheRightShareAndDependsOnItsKey) {
  const AttentionSpec spec{.dropout = 0.25, .dropout_key = {1, 2, 3}};
  const kernels::attn::DropoutMask mask(spec, 0, 1), other_head(spec, 0, 2),
      other_batch(spec, 1, 1);
  int64_t kept = 0, differ_head = 0, differ_batch = 0;
  constexpr int64_t kSide = 300;
  for (int64_t i = 0; i < kSide; ++i) {
    for (int64_t j = 0; j < kSide; ++j) {
      kept += mask.keeps(i, j);
      differ_head += mask.keeps(i, j) != other_head.keeps(i, j);
      differ_batch += mask.keeps(i, j) != other_batch.keeps(i, j);
    }
  }
  // 90000 draws: standard deviations sqrt(n p (1-p)), five of them allowed.
  constexpr double n = kSide * kSide;
  EXPECT_NEAR(static_cast<double>(kept), 0.75 * n, 5 * std::sqrt(n * 0.75 * 0.25));
  EXPECT_NEAR(static_cast<double>(differ_head), 0.375 * n, 5 * std::sqrt(n * 0.375 * 0.625));
  EXPECT_NEAR(static_cast<double>(differ_batch), 0.375 * n, 5 * std::sqrt(n * 0.375 * 0.625));
}

TEST(Attention, RowsWithoutKeysAreZeroWithMinusInfiniteLse) {
  for (const DType dtype : kDTypes) {
    const Sizes s{1, 2, 1, 70, 66, 16, 16};
    const Inputs in(s, dtype);
    const Results got = run(in, {.pattern = AttentionPattern::causal(-67)});
    const auto out = got.forward.out.to_vector<float>(), lse = got.forward.lse.to_vector<float>();
    const auto dq = got.grads.dq.to_vector<float>();
    for (size_t i = 0; i < 67; ++i) {
      EXPECT_EQ(lse[i], -std::numeric_limits<float>::infinity());
      for (size_t d = 0; d < 16; ++d) EXPECT_EQ(out[i * 16 + d], 0.0f);
      for (size_t d = 0; d < 16; ++d) EXPECT_EQ(dq[i * 16 + d], 0.0f);
    }
    for (const Tensor& t : {got.grads.dq, got.grads.dk, got.grads.dv})
      for (const float x : t.to_vector<float>()) ASSERT_TRUE(std::isfinite(x));
    // and without any key at all
    const Inputs none({1, 2, 1, 5, 0, 16, 16}, dtype);
    const Results empty = run(none, {});
    for (const float x : empty.forward.out.to_vector<float>()) EXPECT_EQ(x, 0.0f);
    for (const float x : empty.grads.dq.to_vector<float>()) EXPECT_EQ(x, 0.0f);
  }
}

TEST(Attention, ExtremeLogitsStayFinite) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Sizes s{1, 2, 2, 65, 130, 64, 64};
    const Inputs in(s, dtype, 3e4);  // logits of tens of thousands: one-hot rows
    for (const AttentionSpec& spec :
         {AttentionSpec{}, AttentionSpec{.pattern = AttentionPattern::causal()}}) {
      const Results got = run(in, spec);
      for (const Tensor& t :
           {got.forward.out, got.forward.lse, got.grads.dq, got.grads.dk, got.grads.dv})
        for (const float x : t.to_vector<float>()) ASSERT_TRUE(std::isfinite(x));
    }
  }
}

TEST(Attention, StridedInputsAndGradientsAreReadAndWrittenInPlace) {
  for (const DType dtype : kDTypes) {
    const int64_t B = 2, N = 67, H = 4, Hkv = 2, D = 24;
    const Tensor packed = random({B, N, H + 2 * Hkv, D}, dtype, 9);
    auto part = [&](const Tensor& t, int64_t first, int64_t count) {
      return views::transpose(views::slice(t, 2, first, first + count), 1, 2);
    };
    auto dense = [](const Tensor& t) {
      const Tensor copy = Tensor::empty(t.shape(), t.dtype());
      dispatch_floating(t.dtype(), "copy", [&](auto type) {
        const auto values = t.to_vector<decltype(type)>();
        std::copy(values.begin(), values.end(), copy.data<decltype(type)>());
      });
      return copy;
    };
    const AttentionSpec spec{.pattern = AttentionPattern::causal()};
    Inputs in({B, H, Hkv, N, N, D, D}, dtype);
    in.q = part(packed, 0, H), in.k = part(packed, H, Hkv), in.v = part(packed, H + Hkv, Hkv);
    const AttentionOutput forward = kernels::attention(in.q, in.k, in.v, spec);
    const Tensor dpacked = Tensor::full(packed.shape(), 99.0, dtype);
    kernels::attention_backward(
        in.dout, in.dlse, in.q, in.k, in.v, forward, spec, true, true,
        {part(dpacked, 0, H), part(dpacked, H, Hkv), part(dpacked, H + Hkv, Hkv)});
    in.q = dense(in.q), in.k = dense(in.k), in.v = dense(in.v);
    const Results want = run(in, spec);
    EXPECT_EQ(forward.out.to_vector<double>(), want.forward.out.to_vector<double>());
    EXPECT_EQ(part(dpacked, 0, H).to_vector<double>(), want.grads.dq.to_vector<double>());
    EXPECT_EQ(part(dpacked, H, Hkv).to_vector<double>(), want.grads.dk.to_vector<double>());
    EXPECT_EQ(part(dpacked, H + Hkv, Hkv).to_vector<double>(), want.grads.dv.to_vector<double>());
  }
}

TEST(Attention, ResultsDoNotDependOnTheThreadCount) {
  const int threads = thread_count();
  for (const Sizes& s : {Sizes{1, 2, 1, 257, 300, 64, 32}, Sizes{1, 1, 1, 700, 700, 32, 32},
                         Sizes{1, 4, 2, 1, 3000, 64, 64}}) {
    for (const DType dtype : kDTypes) {
      const Inputs in(s, dtype);
      const AttentionSpec spec{.pattern = AttentionPattern::causal(s.keys - s.queries),
                               .dropout = 0.1};
      std::vector<std::vector<double>> first;
      for (const int count : {1, 2, 3}) {
        set_thread_count(count);
        const Results got = run(in, spec);
        std::vector<std::vector<double>> all;
        for (const Tensor& t :
             {got.forward.out, got.forward.lse, got.grads.dq, got.grads.dk, got.grads.dv})
          all.push_back(t.to_vector<double>());
        if (first.empty()) first = all;
        EXPECT_TRUE(first == all) << name(s) << " " << name_of(dtype) << ", " << count;
      }
    }
  }
  set_thread_count(threads);
}

TEST(Attention, DisjointKeySetsMergeThroughTheirLse) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const Sizes s{1, 3, 3, 33, 150, 40, 24};
    const Inputs in(s, dtype);
    const auto whole = kernels::attention(in.q, in.k, in.v, {});
    auto over = [&](int64_t begin, int64_t end) {
      return kernels::attention(in.q, views::slice(in.k, 2, begin, end),
                                views::slice(in.v, 2, begin, end), {});
    };
    const auto left = over(0, 61), right = over(61, 150);
    const auto l = left.lse.to_vector<double>(), r = right.lse.to_vector<double>();
    const auto lo = left.out.to_vector<double>(), ro = right.out.to_vector<double>();
    const auto out = whole.out.to_vector<double>(), lse = whole.lse.to_vector<double>();
    const double u = dtype == DType::f64 ? 0x1p-53 : 0x1p-24;
    for (size_t i = 0; i < l.size(); ++i) {
      const double merged = std::log(std::exp(l[i]) + std::exp(r[i]));
      ASSERT_NEAR(lse[i], merged, 400 * u * (1 + std::abs(merged)));
      for (size_t d = 0; d < 24; ++d) {
        const double o =
            std::exp(l[i] - merged) * lo[i * 24 + d] + std::exp(r[i] - merged) * ro[i * 24 + d];
        ASSERT_NEAR(out[i * 24 + d], o, 400 * u);  // |v| <= 1, about 2 (D + 4) u logits
      }
    }
  }
}

TEST(Attention, OnlyWantedGradientsAreMade) {
  const Inputs in({1, 2, 2, 20, 20, 16, 16}, DType::f32);
  const auto forward = kernels::attention(in.q, in.k, in.v, {});
  const auto both =
      kernels::attention_backward(in.dout, {}, in.q, in.k, in.v, forward, {}, true, true);
  const auto only_q =
      kernels::attention_backward(in.dout, {}, in.q, in.k, in.v, forward, {}, true, false);
  const auto only_kv =
      kernels::attention_backward(in.dout, {}, in.q, in.k, in.v, forward, {}, false, true);
  EXPECT_FALSE(only_q.dk.defined() || only_q.dv.defined() || only_kv.dq.defined());
  EXPECT_EQ(only_q.dq.to_vector<float>(), both.dq.to_vector<float>());
  EXPECT_EQ(only_kv.dk.to_vector<float>(), both.dk.to_vector<float>());
  EXPECT_EQ(only_kv.dv.to_vector<float>(), both.dv.to_vector<float>());
}

TEST(Attention, WrongShapesAreNamed) {
  const Inputs in({1, 4, 2, 5, 7, 8, 8}, DType::f32);
  auto message = [&](const Tensor& q, const Tensor& k, const Tensor& v, const AttentionSpec& spec) {
    try {
      kernels::attention(q, k, v, spec);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(message(in.q, random({1, 2, 7, 9}, DType::f32, 1), in.v, {}).find("head_dim"),
            std::string::npos);
  EXPECT_NE(
      message(in.q, random({1, 3, 7, 8}, DType::f32, 1), random({1, 3, 7, 8}, DType::f32, 1), {})
          .find("multiple"),
      std::string::npos);
  EXPECT_NE(message(in.q, in.k, in.v, {.dropout = 1.0}).find("dropout"), std::string::npos);
  EXPECT_NE(message(in.q, in.k, in.v, {.score = {.alibi = {0.5f}}}).find("ALiBi"),
            std::string::npos);
  EXPECT_NE(message(in.q, random({1, 2, 7, 8}, DType::bf16, 1), in.v, {}).find("dtype"),
            std::string::npos);
}

}  // namespace
}  // namespace heed
