// Fused attention against materialised scores (attention_oracle.h), within bounds that follow from
// the arithmetic.
#pragma once

#include <gtest/gtest.h>

#include "core/random.h"
#include "kernels/attention/attention.h"
#include "tests/kernels/attention_oracle.h"

namespace heed::testing {

using kernels::AttentionGradients;
using kernels::AttentionOutput;

struct Sizes {
  int64_t batch, heads, kv_heads, queries, keys, head_dim, value_dim;
};

inline std::string name(const Sizes& s) {
  return fmt::format("B{} H{}/{} N{} M{} D{} Dv{}", s.batch, s.heads, s.kv_heads, s.queries, s.keys,
                     s.head_dim, s.value_dim);
}

inline Tensor random(const Shape& shape, DType dtype, uint64_t purpose, double size = 1.0) {
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

inline Results run(const Inputs& in, const AttentionSpec& spec) {
  const AttentionOutput forward = kernels::attention(in.q, in.k, in.v, spec);
  return {forward,
          kernels::attention_backward(in.dout, in.dlse, in.q, in.k, in.v, forward, spec, true, true,
                                      {}, {true, true, true, true, true, {true, true, true}})};
}

// Probabilities under f32's 2^-126 may be zero; a thousand of them, times inputs of 1, add less.
inline constexpr double kUnderflow = 0x1p-116;

inline void expect_within(const Tensor& got, const Bounded& want, double relative, const char* what,
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
inline void expect_matches(const Sizes& s, DType dtype, const AttentionSpec& spec, const Inputs& in,
                           const Results& got, bool score_gradients = true) {
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
  if (!score_gradients) return;
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

inline void expect_matches(const Sizes& s, DType dtype, const AttentionSpec& spec,
                           double size = 1.0) {
  const Inputs in(s, dtype, size);
  expect_matches(s, dtype, spec, in, run(in, spec));
}

inline constexpr Sizes kSizes[] = {
    {1, 1, 1, 1, 1, 1, 1},      {2, 1, 1, 1, 7, 8, 8},       {1, 2, 2, 7, 13, 9, 5},
    {1, 2, 1, 13, 7, 16, 16},   {2, 3, 3, 67, 67, 33, 33},   {1, 4, 2, 131, 67, 64, 32},
    {1, 2, 2, 67, 131, 80, 80}, {1, 2, 1, 257, 257, 64, 64}, {1, 1, 1, 65, 300, 128, 128},
    {1, 1, 1, 64, 64, 64, 80},  {2, 6, 2, 1, 300, 64, 64},   {1, 8, 1, 3, 131, 17, 33},
    {1, 1, 1, 2, 1100, 32, 48}, {1, 1, 1, 16, 2, 256, 8},
};
inline constexpr DType kDTypes[] = {DType::f64, DType::f32, DType::bf16};

}  // namespace heed::testing
