// Sums of probabilities, extreme logits and merged parts, against materialised probabilities.
#include <gtest/gtest.h>

#include "core/parallel.h"
#include "kernels/attention/merge.h"
#include "kernels/attention/probabilities.h"
#include "kernels/copy/copy.h"
#include "tests/kernels/attention_oracle.h"
#include "tests/kernels/attention_random_spec.h"

namespace heed {
namespace {

using kernels::AttentionGradients;
using testing::AttentionOracle;
using testing::Bounded;
using testing::Draw;
using testing::random_tensor;

/// A random problem, and its probabilities by the oracle.
struct Case {
  Tensor q, k, v, dout, lse, weight;
  AttentionSpec spec;
  std::shared_ptr<const RelativeIndex> index;
  int64_t entries = 0;
  PatternExtents e;

  Case(uint64_t seed, DType dtype) {
    Draw draw(seed);
    e = testing::random_extents(draw);
    const int64_t kv_heads = draw.one_in(2) ? e.heads : 1, width = draw(1, 24);
    const auto tensor = [&](int64_t heads, int64_t tokens, int64_t features) {
      return kernels::cast(random_tensor(draw, {e.batch, heads, tokens, features}), dtype);
    };
    q = tensor(e.heads, e.queries, width);
    k = tensor(kv_heads, e.keys, width);
    v = tensor(kv_heads, e.keys, 3);
    dout = Tensor::zeros({e.batch, e.heads, e.queries, 3}, dtype);
    weight = random_tensor(draw, {e.batch, e.heads, e.queries}, 0.1f, 2.0f);
    spec.pattern = testing::random_pattern(draw, e);
    if (draw.one_in(2)) spec.score = testing::random_score(draw, e);
    if (draw.one_in(4)) spec.dropout = 0.3, spec.dropout_key = {seed, 3, 4};
    entries = 2 * draw(0, 12) + 1;
    index = relative_positions(e.queries, e.keys, entries / 2);
    lse = kernels::attention(q, k, v, spec).lse;
  }

  AttentionOracle oracle() const { return {q, k, v, dout, {}, spec}; }
  size_t row(int64_t b, int64_t h, int64_t i) const {
    return static_cast<size_t>((b * e.heads + h) * e.queries + i);
  }
  /// Calls fn(b, h, i, j) for all quadruples.
  template <class Fn>
  void for_all(const Fn& fn) const {
    for (int64_t b = 0; b < e.batch; ++b)
      for (int64_t h = 0; h < e.heads; ++h)
        for (int64_t i = 0; i < e.queries; ++i)
          for (int64_t j = 0; j < e.keys; ++j) fn(b, h, i, j);
  }
};

/// Logits are off by at most (D + 4) u logit_size; a probability by that, the lse's error (as much
/// and its own sum's) and its exponential's few u. See attention_test.cpp.
double error_of(const Case& c, const AttentionOracle& oracle, DType dtype) {
  const double u = dtype == DType::f64 ? 0x1p-53 : 0x1p-24;
  return 2 * static_cast<double>(c.q.size(3) + 4) * u * oracle.logit_size +
         static_cast<double>(c.e.keys + c.e.queries + 32) * u;
}

void expect_close(const Tensor& got, const Bounded& want, double error, const char* what) {
  const auto values = got.to_vector<double>();
  ASSERT_EQ(values.size(), want.value.size());
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_NEAR(values[i], want.value[i], error * want.magnitude[i] + 0x1p-116)
        << what << "[" << i << "]";
}

constexpr DType kDTypes[] = {DType::f64, DType::f32, DType::bf16};

TEST(AttentionProbabilities, SumsByKeyAndByOffsetEqualMaterialisedOnes) {
  for (uint64_t seed = 0; seed < testing::seeds(150); ++seed) {
    const DType dtype = kDTypes[seed % 3];
    const Case c(seed, dtype);
    SCOPED_TRACE(fmt::format("seed {}: {}", seed, c.spec.pattern.text()));
    const AttentionOracle oracle = c.oracle();
    // Weights are rounded to q's dtype.
    const auto weights = kernels::cast(c.weight, dtype).to_vector<double>();
    const auto heads = static_cast<size_t>(c.e.batch * c.e.heads);
    Bounded plain(heads * static_cast<size_t>(c.e.keys)), weighted = plain;
    Bounded buckets(weights.size() * static_cast<size_t>(c.entries));
    c.for_all([&](int64_t b, int64_t h, int64_t i, int64_t j) {
      const size_t row = c.row(b, h, i);
      const size_t pair = row * static_cast<size_t>(c.e.keys) + static_cast<size_t>(j);
      const double p = oracle.probabilities[pair];
      const auto column = static_cast<size_t>((b * c.e.heads + h) * c.e.keys + j);
      plain.add(column, p, p);
      weighted.add(column, p * weights[row], p * weights[row]);
      const int64_t entry = AttentionOracle::entry_of(*c.index, c.entries, i, j);
      const double kept = p * oracle.kept[pair];
      buckets.add(row * static_cast<size_t>(c.entries) + static_cast<size_t>(entry), kept, kept);
    });
    const double error = error_of(c, oracle, dtype);
    expect_close(kernels::attention_column_sums(c.q, c.k, c.lse, c.spec), plain, error, "sums");
    expect_close(kernels::attention_column_sums(c.q, c.k, c.lse, c.spec, c.weight), weighted, error,
                 "weighted sums");
    expect_close(kernels::attention_bucket_sums(c.q, c.k, c.lse, c.spec, *c.index, c.entries),
                 buckets, error, "buckets");
    if (HasFailure()) return;
  }
}

TEST(AttentionProbabilities, RangeOfLogitsIsThatOfThePatternsPairs) {
  for (uint64_t seed = 0; seed < testing::seeds(90); ++seed) {
    const DType dtype = kDTypes[seed % 3];
    const Case c(seed, dtype);
    SCOPED_TRACE(fmt::format("seed {}: {}", seed, c.spec.pattern.text()));
    const AttentionOracle oracle = c.oracle();
    const double far = std::numeric_limits<double>::infinity();
    std::vector<double> least(static_cast<size_t>(c.e.batch * c.e.heads), far);
    std::vector<double> largest(least.size(), -far);
    c.for_all([&](int64_t b, int64_t h, int64_t i, int64_t j) {
      const auto at = static_cast<size_t>(b * c.e.heads + h);
      const double x =
          oracle.logits[c.row(b, h, i) * static_cast<size_t>(c.e.keys) + static_cast<size_t>(j)];
      if (std::isinf(x)) return;
      least[at] = std::min(least[at], x), largest[at] = std::max(largest[at], x);
    });
    const auto range = kernels::attention_logit_range(c.q, c.k, c.spec);
    const double error = error_of(c, oracle, dtype) * (1 + oracle.logit_size);
    for (const auto& [got, want] : {std::pair{range.least, least}, {range.largest, largest}}) {
      const auto values = got.to_vector<double>();
      for (size_t i = 0; i < want.size(); ++i) {
        if (std::isinf(want[i]))
          EXPECT_EQ(values[i], want[i]);
        else
          EXPECT_NEAR(values[i], want[i], error);
      }
    }
  }
}

TEST(AttentionProbabilities, GradientsOfThinnerDTypesEqualThoseOfF64) {
  // f64's are checked by differences (tests/autograd/attention_test.cpp).
  for (uint64_t seed = 0; seed < testing::seeds(90); ++seed) {
    const DType dtype = seed % 3 == 2 ? DType::bf16 : DType::f32;
    const Case c(seed, dtype);
    SCOPED_TRACE(fmt::format("seed {}: {}", seed, c.spec.pattern.text()));
    const Tensor rounded = kernels::cast(c.weight, dtype);  // what the walk multiplies by
    const auto wide = [](const Tensor& t) { return kernels::cast(t, DType::f64); };
    Draw draw(seed + 1000);
    const Tensor by_key = random_tensor(draw, {c.e.batch, c.e.heads, c.e.keys});
    const Tensor by_offset = random_tensor(draw, {c.e.batch, c.e.heads, c.e.queries, c.entries});
    const Tensor lse = kernels::attention(wide(c.q), wide(c.k), wide(c.v), c.spec).lse;
    const AttentionOracle oracle = c.oracle();
    const double error = error_of(c, oracle, DType::f32);
    // Products of bf16 round dS, and storage what they add up to.
    const double r = dtype == DType::bf16 ? 0x1p-7 : 0.0;
    const auto expect_near = [](const Tensor& got, const Tensor& want, double off,
                                const char* what) {
      ASSERT_EQ(got.defined(), want.defined()) << what;
      if (!got.defined()) return;
      const auto gs = got.to_vector<double>(), ws = want.to_vector<double>();
      for (size_t i = 0; i < gs.size(); ++i) ASSERT_NEAR(gs[i], ws[i], off) << what;
    };
    // dS of a row adds up to at most twice the largest dP; dq and dk are sums of these, and so are
    // the gradients of a score's tensors, temperatures' times up to twice the logits.
    const double all = static_cast<double>(c.e.batch * c.e.heads * c.e.queries);
    const auto expect_equal = [&](const AttentionGradients& got, const AttentionGradients& want,
                                  double terms) {
      expect_near(got.dq, want.dq, 16 * (error + r) * terms, "dq");
      expect_near(got.dk, want.dk, 16 * (error + r) * terms, "dk");
      const double off = 16 * error * all * (1 + 2 * oracle.logit_size);
      expect_near(got.query_temperature, want.query_temperature, off, "query temperature");
      expect_near(got.key_temperature, want.key_temperature, off, "key temperature");
      expect_near(got.bias, want.bias, off, "bias");
      expect_near(got.table, want.table, off, "table");
      expect_near(got.sink, want.sink, off, "sink");
      for (size_t a = 0; a < kRelativeAxes; ++a)
        expect_near(got.relative_logits[a], want.relative_logits[a], off, "relative logits");
    };
    const kernels::ScoreWants wants{true, true, true, true, true, {true, true, true}};
    const double rows = static_cast<double>(c.e.queries * c.e.heads);
    const auto columns =
        kernels::attention_column_sums_backward(by_key, c.q, c.k, c.lse, c.spec, c.weight, wants);
    const auto wanted = kernels::attention_column_sums_backward(by_key, wide(c.q), wide(c.k), lse,
                                                                c.spec, rounded, wants);
    expect_equal(columns.inputs, wanted.inputs, rows);
    expect_near(columns.dweight, wanted.dweight, 16 * error, "dweight");
    const auto buckets = [&](const Tensor& q, const Tensor& k, const Tensor& of) {
      const Tensor sums = kernels::attention_bucket_sums(q, k, of, c.spec, *c.index, c.entries);
      return kernels::attention_bucket_sums_backward(by_offset, sums, q, k, of, c.spec, *c.index,
                                                     wants);
    };
    expect_equal(buckets(c.q, c.k, c.lse), buckets(wide(c.q), wide(c.k), lse), rows);
    if (HasFailure()) return;
  }
}

TEST(AttentionProbabilities, WhatMovesALogitOfAllKeysAloneHasNoGradientWhateverTheWeights) {
  // A number added to a whole row changes no probability: its gradient is the sum of dS = p (w dc -
  // w o), 0 but for the rounding of 60 such terms, each at most 2 w = 4, and of p to 8 + 4 u logit.
  for (const DType dtype : kDTypes) {
    Draw draw(6);
    const auto tensor = [&](int64_t heads, int64_t tokens) {
      return kernels::cast(random_tensor(draw, {1, heads, tokens, 8}), dtype);
    };
    const Tensor q = tensor(2, 50), k = tensor(1, 60);
    AttentionSpec spec;
    spec.score.bias = random_tensor(draw, {1, 2, 50, 1});
    const Tensor lse = kernels::attention(q, k, k, spec).lse;
    const Tensor weight = random_tensor(draw, {1, 2, 50}, 0.1f, 2.0f);
    const Tensor dsums = random_tensor(draw, {1, 2, 60}, 0.0f, 1.0f);
    const auto grads =
        kernels::attention_column_sums_backward(dsums, q, k, lse, spec, weight, {.bias = true});
    for (const double x : grads.inputs.bias.to_vector<double>())
      ASSERT_LT(std::abs(x), 4 * (60 + 2 * 12 * 4) * 0x1p-24) << name_of(dtype);
  }
}

TEST(AttentionProbabilities, OnlyWantedGradientsAreMade) {
  const Case c(4, DType::f32);
  const auto all = kernels::attention_column_sums_backward(
      Tensor::full({c.e.batch, c.e.heads, c.e.keys}, 0.5), c.q, c.k, c.lse, c.spec, c.weight);
  for (const bool want_q : {false, true}) {
    for (const bool want_k : {false, true}) {
      const auto some = kernels::attention_column_sums_backward(
          Tensor::full({c.e.batch, c.e.heads, c.e.keys}, 0.5), c.q, c.k, c.lse, c.spec, c.weight,
          {}, want_q, want_k);
      EXPECT_EQ(some.dweight.to_vector<float>(), all.dweight.to_vector<float>());
      ASSERT_EQ(some.inputs.dq.defined(), want_q);
      ASSERT_EQ(some.inputs.dk.defined(), want_k);
      if (want_q) {
        EXPECT_EQ(some.inputs.dq.to_vector<float>(), all.inputs.dq.to_vector<float>());
      }
      if (want_k) {
        EXPECT_EQ(some.inputs.dk.to_vector<float>(), all.inputs.dk.to_vector<float>());
      }
    }
  }
}

TEST(AttentionProbabilities, HaveARangeOfNothingWithoutQueries) {
  const Tensor q = Tensor::zeros({2, 3, 0, 4}), k = Tensor::zeros({2, 3, 5, 4});
  const auto range = kernels::attention_logit_range(q, k, {});
  for (const double x : range.least.to_vector<double>()) EXPECT_TRUE(std::isinf(x) && x > 0);
  for (const double x : range.largest.to_vector<double>()) EXPECT_TRUE(std::isinf(x) && x < 0);
}

TEST(AttentionProbabilities, WhatDoesNotFitIsRefused) {
  const Tensor flat = Tensor::zeros({5, 4});
  EXPECT_THROW(kernels::attention_logit_range(flat, flat, {}), Error);
  // 2^16 queries times 2^15 entries are more than 32 bits count.
  const int64_t queries = 1 << 16, entries = 1 << 15;
  const Tensor q = Tensor::zeros({1, 1, queries, 1}), k = Tensor::zeros({1, 1, 1, 1});
  const Tensor lse = Tensor::zeros({1, 1, queries});
  const auto index = relative_positions(queries, 1, 3);
  EXPECT_THROW(kernels::attention_bucket_sums(q, k, lse, {}, *index, entries), Error);
}

TEST(AttentionProbabilities, DoNotDependOnTheThreadCount) {
  const int threads = thread_count();
  Draw draw(3);
  const Tensor q = random_tensor(draw, {2, 4, 500, 16}), k = random_tensor(draw, {2, 2, 500, 16});
  const AttentionSpec spec{.pattern = AttentionPattern::causal()};
  const auto index = relative_positions(500, 500, 20);
  const Tensor lse = kernels::attention(q, k, k, spec).lse;
  std::vector<std::vector<float>> first;
  for (const int count : {1, 2, 3}) {
    set_thread_count(count);
    const Tensor buckets = kernels::attention_bucket_sums(q, k, lse, spec, *index, 41);
    const auto grads =
        kernels::attention_bucket_sums_backward(buckets, buckets, q, k, lse, spec, *index);
    const auto far = kernels::attention(q, k, k, {.pattern = AttentionPattern::window(9, 0)});
    const auto merged = kernels::merge_attentions({{far.out, far.lse}, {q, lse}});
    const std::vector<std::vector<float>> all = {
        kernels::attention_column_sums(q, k, lse, spec).to_vector<float>(),
        buckets.to_vector<float>(),
        grads.dq.to_vector<float>(),
        grads.dk.to_vector<float>(),
        merged.out.to_vector<float>(),
        merged.lse.to_vector<float>(),
        kernels::attention_logit_range(q, k, spec).largest.to_vector<float>()};
    if (first.empty()) first = all;
    EXPECT_TRUE(first == all) << count;
  }
  set_thread_count(threads);
}

TEST(MergeAttentions, OfDisjointPartsIsTheWhole) {
  for (uint64_t seed = 0; seed < testing::seeds(60); ++seed) {
    const DType dtype = kDTypes[seed % 3];
    const Case c(seed, dtype);
    if (c.spec.score.sink.defined() || c.spec.dropout > 0) continue;  // once for the whole
    SCOPED_TRACE(fmt::format("seed {}: {}", seed, c.spec.pattern.text()));
    std::vector<kernels::AttentionOutput> parts;
    for (int64_t of = 0; of < 3; ++of) {
      AttentionSpec part = c.spec;
      part.pattern = part.pattern & AttentionPattern::where(fmt::format("{} of 3", of),
                                                            [of](int64_t i, int64_t j) {
                                                              return (i + 2 * j) % 3 == of;
                                                            });
      parts.push_back(kernels::attention(c.q, c.k, c.v, part));
    }
    const auto merged = kernels::merge_attentions(parts);
    const auto whole = kernels::attention(c.q, c.k, c.v, c.spec);
    // Probabilities of the parts, of their shares and of the whole; bf16 rounds probabilities and
    // results of the parts and of the whole, and the merged ones. Values are at most 1.
    const double error = 4 * error_of(c, c.oracle(), dtype);
    const double rounding = dtype == DType::bf16 ? 5 * 0x1p-8 : 0.0;
    const auto got = merged.out.to_vector<double>(), want = whole.out.to_vector<double>();
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], error + rounding);
    const auto lse = merged.lse.to_vector<double>(), wanted = whole.lse.to_vector<double>();
    for (size_t i = 0; i < lse.size(); ++i) {
      if (std::isinf(wanted[i])) {
        ASSERT_EQ(lse[i], wanted[i]);
      } else {
        ASSERT_NEAR(lse[i], wanted[i], error * (1 + std::abs(wanted[i])));
      }
    }
  }
}

TEST(MergeAttentions, PartsOfAWholeGetTheirGradientsFromItsOutAndLse) {
  // What a ring's step or a split of the keys does: the whole's out, lse, dout and dlse.
  for (const DType dtype : kDTypes) {
    Draw draw(8);
    const auto tensor = [&](int64_t heads, int64_t tokens) {
      return kernels::cast(random_tensor(draw, {2, heads, tokens, 16}), dtype);
    };
    const Tensor q = tensor(4, 90), k = tensor(2, 90), v = tensor(2, 90), dout = tensor(4, 90);
    const Tensor dlse = kernels::cast(random_tensor(draw, {2, 4, 90}),
                                      dtype == DType::f64 ? DType::f64 : DType::f32);
    const AttentionSpec whole{.pattern = AttentionPattern::causal()};
    const auto forward = kernels::attention(q, k, v, whole);
    const auto want = kernels::attention_backward(dout, dlse, q, k, v, forward, whole, true, true);
    std::vector<double> dq(want.dq.to_vector<double>().size()),
        dk(want.dk.to_vector<double>().size());
    for (const bool near : {true, false}) {
      const AttentionSpec part{.pattern = near ? AttentionPattern::window(30, 0)
                                               : AttentionPattern::causal(-31)};
      const auto g = kernels::attention_backward(dout, dlse, q, k, v, forward, part, true, true);
      const auto q_part = g.dq.to_vector<double>(), k_part = g.dk.to_vector<double>();
      for (size_t i = 0; i < dq.size(); ++i) dq[i] += q_part[i];
      for (size_t i = 0; i < dk.size(); ++i) dk[i] += k_part[i];
    }
    // Rounding of two parts and of the whole to storage; the sums' own is below it.
    const double r = dtype == DType::bf16 ? 0x1p-6 : dtype == DType::f32 ? 0x1p-18 : 0x1p-46;
    const auto want_q = want.dq.to_vector<double>(), want_k = want.dk.to_vector<double>();
    for (size_t i = 0; i < dq.size(); ++i) ASSERT_NEAR(dq[i], want_q[i], 8 * r);
    for (size_t i = 0; i < dk.size(); ++i) ASSERT_NEAR(dk[i], want_k[i], 8 * r);
  }
}

}  // namespace
}  // namespace heed
