// Attention over tokens that ranks share, against the same attention on one rank: forward,
// log-sum-exps and all gradients.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "autograd/ops/attention.h"
#include "autograd/ops/index.h"
#include "autograd/score_tensors.h"
#include "distributed/token_layout.h"
#include "distributed/world.h"
#include "kernels/copy/copy.h"
#include "tests/samples.h"

namespace heed::testing {

inline constexpr TokenLayout kLayouts[] = {TokenLayout::contiguous, TokenLayout::zigzag,
                                           TokenLayout::striped};

/// One problem, of whole sequences.
struct SharedAttention {
  std::string name;
  int64_t batch = 2, heads = 4, kv_heads = 2, tokens = 0, width = 6, value_width = 5;
  AttentionSpec spec = {};
  int64_t keys = 0;  ///< 0: as many as tokens
};

using AttentionOverRanks = std::function<AttentionResult(const Tensor& q, const Tensor& k,
                                                         const Tensor& v, const AttentionSpec& spec,
                                                         Communicator& ranks, TokenLayout layout)>;

inline double largest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  const auto x = a.to_vector<double>(), y = b.to_vector<double>();
  double size = 1e-30, difference = 0.0;
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (x[i] == y[i]) continue;  // infinities too
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) return INFINITY;
    difference = std::max(difference, std::abs(x[i] - y[i]));
  }
  for (const double value : y)
    if (std::isfinite(value)) size = std::max(size, std::abs(value));
  return difference / size;
}

/// Compares an op with `attention` on whole sequences. `tolerance` is relative to the largest
/// element of each tensor.
inline void expect_equals_one_rank(const SharedAttention& problem, const AttentionOverRanks& op,
                                   TokenLayout layout, DType dtype, double tolerance) {
  Communicator& ranks = world();
  const std::string where =
      fmt::format("{}, {}, {}", problem.name, name_of(layout), name_of(dtype));
  const int64_t n = problem.tokens, m = problem.keys == 0 ? n : problem.keys;
  const auto part_of = [&](const Tensor& x) {
    const auto positions = token_positions(layout, x.size(2), ranks.size(), ranks.rank());
    const Tensor own = Tensor::from(positions, {static_cast<int64_t>(positions.size())});
    return index_select(x, 2, own).detach();
  };
  Tensor q = normal({problem.batch, problem.heads, n, problem.width}, "q", dtype);
  Tensor k = normal({problem.batch, problem.kv_heads, m, problem.width}, "k", dtype);
  Tensor v = normal({problem.batch, problem.kv_heads, m, problem.value_width}, "v", dtype);
  const Tensor dout = normal({problem.batch, problem.heads, n, problem.value_width}, "dout", dtype);
  const Tensor dlse = normal({problem.batch, problem.heads, n}, "dlse",
                             dtype == DType::f64 ? DType::f64 : DType::f32);

  // The score's tensors are leaves of their own on either side.
  const auto leaves_of = [&](AttentionSpec& spec) {
    std::vector<Tensor> leaves;
    for (Tensor* t : score_tensors(spec.score)) {
      if (!t->defined()) continue;
      const Tensor copy = Tensor::empty(t->shape(), dtype == DType::bf16 ? DType::f32 : dtype);
      kernels::copy(*t, copy);
      *t = copy;
      leaves.push_back(require_grad(*t));
    }
    return leaves;
  };
  Tensor q_own = part_of(q), k_own = part_of(k), v_own = part_of(v);
  for (Tensor* t : {&q, &k, &v, &q_own, &k_own, &v_own}) require_grad(*t);

  AttentionSpec spec = problem.spec;
  const std::vector<Tensor> whole_leaves = leaves_of(spec);
  const AttentionResult want = attention(q, k, v, spec);
  backward({want.out, want.lse}, {dout, dlse});

  AttentionSpec shared = problem.spec;
  const std::vector<Tensor> leaves = leaves_of(shared);
  const AttentionResult got = op(q_own, k_own, v_own, shared, ranks, layout);
  backward({got.out, got.lse}, {part_of(dout), part_of(dlse)});

  const auto expect = [&](const Tensor& a, const Tensor& b, const char* what) {
    EXPECT_LE(largest_difference(a, b), tolerance) << what << " of " << where;
  };
  expect(got.out, part_of(want.out), "out");
  expect(got.lse, part_of(want.lse), "lse");
  expect(grad(q_own), part_of(grad(q)), "dq");
  expect(grad(k_own), part_of(grad(k)), "dk");
  expect(grad(v_own), part_of(grad(v)), "dv");
  for (size_t i = 0; i < leaves.size(); ++i) {
    const Tensor whole_grad = grad(whole_leaves[i]);
    const Tensor sum = Tensor::zeros(leaves[i].shape(), leaves[i].dtype());
    if (grad(leaves[i]).defined()) kernels::copy(grad(leaves[i]), sum);
    ranks.all_reduce(sum);
    ASSERT_TRUE(whole_grad.defined()) << where;
    expect(sum, whole_grad, "a score gradient");
  }
}

}  // namespace heed::testing
