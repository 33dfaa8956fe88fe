#include "kernels/attention/attention.h"

#include <gtest/gtest.h>

#include "core/allocator.h"
#include "core/parallel.h"
#include "core/random.h"
#include "core/views.h"
#include "kernels/attention/fused.h"
#include "kernels/attention/plan.h"
#include "kernels/copy/copy.h"
#include "tests/kernels/attention_oracle.h"
#include "tests/kernels/attention_random_spec.h"

namespace heed {
namespace {

using kernels::AttentionGradients;
using kernels::AttentionOutput;
using testing::AttentionOracle;
using testing::Bounded;

struct Sizes {
  int64_t batch, heads, kv_heads, queries, keys, head_dim, value_dim;
};

std::string name(const Sizes& s) {
  return fmt::format("B{} H{}/{} N{} M{} D{} Dv{}", s.batch, s.heads, s.kv_heads, s.queries, s.keys,
                     s.head_dim, s.value_dim);
}

Tensor random(const Shape& shape, DType dtype, uint64_t purpose, double size = 1.0) {
  const Tensor t = Tensor::empty(shape, dtype);
  const RandomStream stream({7, purpose, 0});
  dispatch_floating(dtype, "random", [&](auto type) {
    using T = decltype(type);
    for (int64_t i = 0; i < t.numel(); ++i) {
      const float u = 2.0f * stream.uniform(static_cast<uint64_t>(i)) - 1.0f;
      t.data<T>()[i] = static_cast<T>(static_cast<float>(size) * u);
    }
  });
  return t;
}

struct Inputs {
  Tensor q, k, v, dout, dlse;

  Inputs(const Sizes& s, DType dtype, double size = 1.0)
      : q(random({s.batch, s.heads, s.queries, s.head_dim}, dtype, 1, size)),
        k(random({s.batch, s.kv_heads, s.keys, s.head_dim}, dtype, 2)),
        v(random({s.batch, s.kv_heads, s.keys, s.value_dim}, dtype, 3)),
        dout(random({s.batch, s.heads, s.queries, s.value_dim}, dtype, 4)),
        dlse(random({s.batch, s.heads, s.queries}, dtype == DType::f64 ? DType::f64 : DType::f32,
                    5)) {}
};

struct Results {
  AttentionOutput forward;
  AttentionGradients grads;
};

Results run(const Inputs& in, const AttentionSpec& spec) {
  const AttentionOutput forward = kernels::attention(in.q, in.k, in.v, spec);
  return {forward,
          kernels::attention_backward(in.dout, in.dlse, in.q, in.k, in.v, forward, spec, true, true,
                                      {}, {true, true, true, true, true, {true, true, true}})};
}

// Probabilities under f32's 2^-126 may be zero; a thousand of them, times inputs of 1, add less.
constexpr double kUnderflow = 0x1p-116;

void expect_within(const Tensor& got, const Bounded& want, double relative, const char* what,
                   const std::string& where) {
  const auto values = got.to_vector<double>();
  ASSERT_EQ(values.size(), want.value.size()) << what;
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isinf(want.value[i])) {
      ASSERT_EQ(values[i], want.value[i]) << where << ": " << what << "[" << i << "]";
      continue;
    }
    ASSERT_NEAR(values[i], want.value[i], relative * want.magnitude[i] + kUnderflow)
        << where << ": " << what << "[" << i << "]";
  }
}

// Bounds to first order, u being the unit roundoff of the arithmetic (2^-24, 2^-53) and r that of
// the storage (2^-9 for bf16, else u). A logit is off by at most (D + 4) u logit_size, a
// probability by twice that (numerator and lse) and its own exponential's few u. Sums of n terms
// add n u. What is rounded to storage on the way: the probabilities, ds, out (within delta), and
// the result: 4 r.
void expect_matches(const Sizes& s, DType dtype, const AttentionSpec& spec, const Inputs& in,
                    const Results& got) {
  const std::string where = name(s) + " " + name_of(dtype);
  const AttentionOracle want(in.q, in.k, in.v, in.dout, in.dlse, spec);
  const double u = dtype == DType::f64 ? 0x1p-53 : 0x1p-24;
  const double r = dtype == DType::bf16 ? 0x1p-9 : u;
  const double logit = static_cast<double>(s.head_dim + 4) * u * want.logit_size;
  const auto terms = static_cast<double>(s.keys + s.queries * s.heads / s.kv_heads);
  const double probability = 2 * logit + (terms + 16) * u;
  const double gradient = probability + static_cast<double>(s.value_dim) * u;
  expect_within(got.forward.out, want.out, probability + 4 * r, "out", where);
  expect_within(got.forward.lse, want.lse, logit + (static_cast<double>(s.keys) + 16) * u, "lse",
                where);
  expect_within(got.grads.dq, want.dq, gradient + 4 * r, "dq", where);
  expect_within(got.grads.dk, want.dk, gradient + 4 * r, "dk", where);
  expect_within(got.grads.dv, want.dv, gradient + 4 * r, "dv", where);
  // The score's gradients add up whole rows, heads and batches.
  const double sums = gradient + 4 * r + static_cast<double>(s.batch * s.heads * s.queries) * u;
  const auto expect_score = [&](const Tensor& g, const Bounded& bound, const char* what) {
    ASSERT_EQ(g.defined(), !bound.value.empty()) << what;
    if (g.defined()) expect_within(g, bound, sums, what, where);
  };
  expect_score(got.grads.query_temperature, want.d_query_temperature, "d query_temperature");
  expect_score(got.grads.key_temperature, want.d_key_temperature, "d key_temperature");
  expect_score(got.grads.bias, want.d_bias, "d bias");
  expect_score(got.grads.table, want.d_table, "d table");
  expect_score(got.grads.sink, want.d_sink, "d sink");
  for (size_t a = 0; a < kRelativeAxes; ++a)
    expect_score(got.grads.relative_logits[a], want.d_relative_logits[a], "d relative_logits");
}

void expect_matches(const Sizes& s, DType dtype, const AttentionSpec& spec, double size = 1.0) {
  const Inputs in(s, dtype, size);
  expect_matches(s, dtype, spec, in, run(in, spec));
}

constexpr Sizes kSizes[] = {
    {1, 1, 1, 1, 1, 1, 1},      {2, 1, 1, 1, 7, 8, 8},       {1, 2, 2, 7, 13, 9, 5},
    {1, 2, 1, 13, 7, 16, 16},   {2, 3, 3, 67, 67, 33, 33},   {1, 4, 2, 131, 67, 64, 32},
    {1, 2, 2, 67, 131, 80, 80}, {1, 2, 1, 257, 257, 64, 64}, {1, 1, 1, 65, 300, 128, 128},
    {1, 1, 1, 64, 64, 64, 80},  {2, 6, 2, 1, 300, 64, 64},   {1, 8, 1, 3, 131, 17, 33},
    {1, 1, 1, 2, 1100, 32, 48}, {1, 1, 1, 16, 2, 256, 8},
};
constexpr DType kDTypes[] = {DType::f64, DType::f32, DType::bf16};

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

TEST(Attention, RandomPatternsAndScoresEqualMaterialisedScores) {
  for (uint64_t seed = 0; seed < testing::seeds(300); ++seed) {
    testing::Draw draw(seed);
    PatternExtents e = testing::random_extents(draw);
    AttentionSpec spec;
    spec.pattern = draw.one_in(6) ? testing::random_bordered_pattern(draw, e)
                                  : testing::random_pattern(draw, e);
    const int64_t kv_heads = draw.one_in(2) ? e.heads : 1;
    const Sizes s{e.batch, e.heads, kv_heads, e.queries, e.keys, draw(1, 24), draw(1, 24)};
    if (draw.one_in(2)) spec.score = testing::random_score(draw, e);
    if (draw.one_in(5)) spec.dropout = 0.2, spec.dropout_key = {seed, 1, 2};
    SCOPED_TRACE(fmt::format("seed {}: {}", seed, spec.pattern.text()));
    expect_matches(s, kDTypes[seed % 3], spec);
    if (HasFailure()) return;
  }
}

TEST(Attention, EveryTermOfTheScoreEqualsMaterialisedScores) {
  const Sizes s{2, 4, 2, 77, 91, 20, 24};
  testing::Draw draw(5);
  const auto tensor = [&](const Shape& shape, float low) {
    return testing::random_tensor(draw, shape, low, low + 1.5f);
  };
  std::vector<AttentionScore> scores;
  scores.push_back({.softcap = 0.7});
  scores.push_back({.query_temperature = tensor({2, 4, 77}, 0.5f)});
  scores.push_back({.key_temperature = tensor({1, 4, 91}, 0.5f)});
  scores.push_back({.query_temperature = tensor({1, 4, 1}, 0.5f)});
  scores.push_back({.key_temperature = tensor({2, 1, 1}, 0.5f)});
  for (const Shape& shape :
       {Shape{2, 4, 77, 91}, Shape{1, 4, 77, 91}, Shape{2, 1, 77, 91}, Shape{1, 1, 77, 91},
        Shape{2, 1, 1, 91}, Shape{1, 4, 77, 1}, Shape{1, 4, 1, 91}, Shape{1, 1, 1, 1}})
    scores.push_back({.bias = tensor(shape, -1.0f)});
  scores.push_back(
      {.table = tensor({4, 21}, -1.0f), .relative = relative_positions(77, 91, 10, 3)});
  scores.push_back(
      {.table = tensor({1, 16}, -1.0f), .relative = relative_buckets(77, 91, 16, 40, true)});
  for (const Shape& shape : {Shape{4}, Shape{2, 4, 77}, Shape{1, 4, 1}, Shape{1, 1, 77}})
    scores.push_back({.sink = tensor(shape, -1.0f)});
  for (const Shape& shape : {Shape{2, 4, 77, 13}, Shape{1, 4, 77, 13}, Shape{2, 1, 77, 13}}) {
    AttentionScore score;
    score.relative_logits[0] = {tensor(shape, -1.0f), relative_positions(77, 91, 6)};
    score.relative_logits[2] = {tensor({2, 4, 77, 32}, -1.0f),
                                relative_buckets(77, 91, 32, 64, true)};
    scores.push_back(score);
  }
  for (const AttentionScore& score : scores) {
    for (const AttentionPattern& pattern :
         {AttentionPattern::dense(), AttentionPattern::window(20, 9, 3)}) {
      for (const DType dtype : kDTypes) expect_matches(s, dtype, {pattern, score});
    }
  }
}

TEST(Attention, RelativeTablesOnAGridEqualMaterialisedScores) {
  const Sizes s{1, 2, 2, 120, 120, 16, 16};
  testing::Draw draw(6);
  AttentionSpec spec{.pattern =
                         AttentionPattern::neighborhood({{.length = 10, .window = 3, .dilation = 2},
                                                         {.length = 12, .window = 5}})};
  spec.score.table = testing::random_tensor(draw, {2, 5 * 9});
  spec.score.relative = relative_grid({10, 12}, {3, 5}, {2, 1});
  for (const DType dtype : kDTypes) expect_matches(s, dtype, spec);
  // The first axis's offset is the slow one; both are 0 in the middle of the table.
  const RelativeIndex& index = *spec.score.relative;
  EXPECT_EQ(index.key[17] - index.query[17], 2 * 9 + 4);
  EXPECT_EQ(index.key[2 * 12 + 1] - index.query[0], 3 * 9 + 5);
}

TEST(Attention, OffsetsAlongAnAxisCountFromTheFarthestPastOne) {
  // A map of 3 x 4, windows of 5: entry 4 is the pair of a token with itself.
  const auto entry = [](const RelativeIndex& index, int64_t entries, int64_t i, int64_t j) {
    return kernels::attn::TableIndex{&index, entries}(i, j);
  };
  const auto rows = relative_axis({3, 4}, 0, 5), columns = relative_axis({3, 4}, 1, 5);
  const int64_t from = 1 * 4 + 3, to = 2 * 4 + 1;
  EXPECT_EQ(entry(*rows, 9, from, to), 4 + 1);
  EXPECT_EQ(entry(*columns, 9, from, to), 4 - 2);
  EXPECT_EQ(entry(*rows, 9, from, from), 4);
  // Behind two global tokens: as before, but 9 for pairs with one of these.
  const auto behind = behind_globals(*rows, 2);
  EXPECT_EQ(entry(*behind, 10, 2 + from, 2 + to), 4 + 1);
  for (const auto& [i, j] : {std::pair<int64_t, int64_t>{0, 5}, {5, 0}, {0, 0}, {1, 0}, {13, 1}})
    EXPECT_EQ(entry(*behind, 10, i, j), 9) << i << " " << j;
}

TEST(Attention, GlobalTokensLookUpTheLastEntryOfIndicesWithAMapToo) {
  const auto buckets = behind_globals(*relative_buckets(6, 6, 8, 20, true), 1);
  const auto reach = behind_globals(*relative_positions(6, 6, 2), 1);
  for (const auto& [index, entries] : {std::pair{buckets, int64_t{9}}, {reach, int64_t{6}}}) {
    const kernels::attn::TableIndex at{index.get(), entries};
    for (int64_t t = 0; t < 7; ++t) {
      EXPECT_EQ(at(0, t), entries - 1);
      EXPECT_EQ(at(t, 0), entries - 1);
    }
    for (int64_t i = 1; i < 7; ++i)
      for (int64_t j = 1; j < 7; ++j) EXPECT_LT(at(i, j), entries - 1);
  }
}

TEST(Attention, BackwardOfAGivenForwardRefusesWhatDoesNotFit) {
  const Inputs in({2, 4, 2, 20, 30, 8, 6}, DType::f32);
  const AttentionSpec spec;
  const auto forward = kernels::attention(in.q, in.k, in.v, spec);
  const auto backward = [&](const Tensor& dout, const Tensor& dlse, const Tensor& out,
                            const Tensor& lse) {
    return kernels::attention_backward(dout, dlse, in.q, in.k, in.v, {out, lse}, spec, true, true);
  };
  const Tensor none, other = Tensor::zeros({2, 4, 19});
  EXPECT_THROW(backward(Tensor::zeros({2, 4, 20, 5}), none, none, forward.lse), Error);
  EXPECT_THROW(backward(in.dout, none, Tensor::zeros({2, 4, 20, 5}), forward.lse), Error);
  EXPECT_THROW(backward(in.dout, none, forward.out, other), Error);
  EXPECT_THROW(backward(in.dout, other, forward.out, forward.lse), Error);
  // Other layouts and dtypes are the same.
  const Tensor out = views::transpose(Tensor::empty({2, 4, 6, 20}), 2, 3);
  kernels::copy(forward.out, out);
  const auto want = backward(in.dout, none, forward.out, forward.lse);
  const auto got = backward(in.dout, none, out, kernels::cast(forward.lse, DType::f64));
  EXPECT_EQ(got.dq.to_vector<float>(), want.dq.to_vector<float>());
  EXPECT_EQ(got.dk.to_vector<float>(), want.dk.to_vector<float>());
}

TEST(Attention, VirtualKeysCountInTheSoftmax) {
  // HaloNet, arXiv 2103.12731: equal logits, values 0 .. 15: means over 16 places, some of them 0.
  const std::vector<HaloAxis> axes(2, {.length = 4, .block = 2, .halo = 1});
  for (const DType dtype : kDTypes) {
    std::vector<double> numbers(16);
    for (size_t i = 0; i < 16; ++i) numbers[i] = static_cast<double>(i);
    const Tensor zero = Tensor::zeros({1, 1, 16, 1}, dtype);
    const Tensor values = kernels::cast(Tensor::from(numbers, {1, 1, 16, 1}), dtype);
    const auto out = [&](Border border) {
      return kernels::attention(zero, zero, values, {AttentionPattern::halo(axes, border)})
          .out.to_vector<double>();
    };
    const double r = dtype == DType::bf16 ? 0x1p-8 : 1e-6;
    EXPECT_NEAR(out(Border::virtual_keys)[0], 45.0 / 16, 45.0 / 16 * r);
    EXPECT_NEAR(out(Border::virtual_keys)[15], 90.0 / 16, 90.0 / 16 * r);
    EXPECT_NEAR(out(Border::crop)[0], 5.0, 5 * r);
    EXPECT_NEAR(out(Border::crop)[15], 10.0, 10 * r);
    for (const Border border : {Border::crop, Border::shift, Border::virtual_keys})
      expect_matches({2, 2, 1, 16, 16, 8, 9}, dtype, {AttentionPattern::halo(axes, border)});
  }
}

TEST(Attention, PatternsThatHoldEveryPairEqualDense) {
  const Inputs in({2, 4, 2, 130, 130, 32, 24}, DType::f32);
  const Results dense = run(in, {});
  std::vector<int32_t> all;
  for (int64_t i = 0; i < 130; ++i)
    for (int32_t j = 0; j < 130; ++j) all.push_back(j);
  for (const AttentionPattern& pattern :
       {AttentionPattern::window(200, 200), AttentionPattern::neighborhood({{130, 130}}),
        AttentionPattern::windows({130}, {130}), AttentionPattern::prefix(130),
        AttentionPattern::segments(std::vector<int32_t>(130, 3)),
        AttentionPattern::lengths({130, 130}), AttentionPattern::indices(all, 1, 1, 130, 130),
        AttentionPattern::causal() | AttentionPattern::window(0, 130)}) {
    const Results got = run(in, {pattern});
    EXPECT_EQ(got.forward.out.to_vector<float>(), dense.forward.out.to_vector<float>());
    EXPECT_EQ(got.grads.dq.to_vector<float>(), dense.grads.dq.to_vector<float>());
    EXPECT_EQ(got.grads.dk.to_vector<float>(), dense.grads.dk.to_vector<float>());
    EXPECT_EQ(got.grads.dv.to_vector<float>(), dense.grads.dv.to_vector<float>());
  }
}

TEST(Attention, SparseResultsDoNotDependOnTheThreadCount) {
  const int threads = thread_count();
  testing::Draw draw(9);
  const Sizes s{2, 4, 2, 576, 576, 16, 16};
  const Inputs in(s, DType::f32);
  AttentionSpec spec{.pattern = AttentionPattern::neighborhood({{24, 7}, {24, 7}})};
  spec.score.bias = testing::random_tensor(draw, {1, 4, 576, 576});
  spec.score.table = testing::random_tensor(draw, {4, 169});
  spec.score.relative = relative_grid({24, 24}, {7, 7});
  spec.score.key_temperature = testing::random_tensor(draw, {2, 1, 576}, 0.5f, 2.0f);
  spec.score.relative_logits[0] = {testing::random_tensor(draw, {1, 4, 576, 13}),
                                   relative_axis({24, 24}, 0, 7)};
  spec.score.sink = testing::random_tensor(draw, {1, 4, 576});
  std::vector<std::vector<float>> first;
  for (const int count : {1, 2, 3}) {
    set_thread_count(count);
    const Results got = run(in, spec);
    std::vector<std::vector<float>> all;
    for (const Tensor& t :
         {got.forward.out, got.grads.dq, got.grads.dk, got.grads.dv, got.grads.bias,
          got.grads.table, got.grads.key_temperature, got.grads.relative_logits[0], got.grads.sink})
      all.push_back(t.to_vector<float>());
    if (first.empty()) first = all;
    EXPECT_TRUE(first == all) << count;
  }
  set_thread_count(threads);
}

TEST(Attention, UnionsOfDisjointPatternsMergeThroughTheirLse) {
  const Inputs in({1, 2, 2, 150, 150, 16, 8}, DType::f64);
  const auto near = AttentionPattern::window(10, 0);
  const auto far = AttentionPattern::blocks(
      1, 150, 150, [](int64_t i, int64_t j) { return i - j > 10 && (i - j) % 7 == 0; });
  const auto a = kernels::attention(in.q, in.k, in.v, {near});
  const auto b = kernels::attention(in.q, in.k, in.v, {far});
  const auto whole = kernels::attention(in.q, in.k, in.v, {near | far});
  const auto la = a.lse.to_vector<double>(), lb = b.lse.to_vector<double>();
  const auto oa = a.out.to_vector<double>(), ob = b.out.to_vector<double>();
  const auto want = whole.out.to_vector<double>();
  for (size_t i = 0; i < la.size(); ++i) {
    const double merged = std::log(std::exp(la[i]) + std::exp(lb[i]));
    for (size_t d = 0; d < 8; ++d)
      ASSERT_NEAR(
          want[i * 8 + d],
          std::exp(la[i] - merged) * oa[i * 8 + d] + std::exp(lb[i] - merged) * ob[i * 8 + d],
          1e-13);
  }
}

TEST(Attention, ALongCausalWindowNeedsMemoryByTheToken) {
  constexpr int64_t kTokens = 65536;
  const Inputs in({1, 2, 1, kTokens, kTokens, 16, 16}, DType::f32);
  allocator::reset_peak();
  const int64_t before = allocator::stats().in_use_bytes;
  const Results got = run(in, {AttentionPattern::window(127, 0)});
  EXPECT_TRUE(std::isfinite(got.grads.dq.to_vector<float>()[kTokens]));
  // A few rows of q, k, v and their gradients a token; one matrix of scores would be 16 GiB.
  EXPECT_LT(allocator::stats().peak_bytes - before, int64_t{128} << 20);
}

}  // namespace
}  // namespace heed
