#include "autograd/ops/solve.h"

#include <cmath>
#include <limits>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/view.h"
#include "core/allocator.h"
#include "core/parallel.h"
#include "tests/autograd/testing.h"

namespace heed {
namespace {

using testing::expect_gradients;
using testing::uniform;
using Inputs = std::vector<Tensor>;
using Values = std::vector<double>;

constexpr ConjugateGradientOptions kExact{.iterations = 60, .tolerance = 1e-14};

double largest_difference(const Tensor& a, const Tensor& b) {
  const Values x = a.to_vector<double>(), y = b.to_vector<double>();
  EXPECT_EQ(x.size(), y.size());
  double most = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double difference = std::abs(x[i] - y[i]);
    if (std::isnan(difference)) return INFINITY;
    most = std::max(most, difference);
  }
  return most;
}

/// w z z^T + ridge I, formed: [B, H, N, D, D].
Tensor formed(const Tensor& w, const Tensor& k, const Tensor& c, double ridge) {
  const Tensor z = sub(unsqueeze(k, 2), unsqueeze(c, 3));  // [B, H, N, M, D]
  const int64_t dim = k.size(3);
  Values unit(static_cast<size_t>(dim * dim));
  for (int64_t d = 0; d < dim; ++d) unit[static_cast<size_t>(d * dim + d)] = ridge;
  return add(matmul(transpose(mul(z, unsqueeze(w, 4)), 3, 4), z), Tensor::from(unit, {dim, dim}));
}

struct System {
  Tensor w, k, y, c;
  System(int64_t b, int64_t h, int64_t n, int64_t m, int64_t d)
      : w(uniform({b, h, n, m}, 0, 1, 1)),
        k(uniform({b, h, m, d}, -1, 1, 2)),
        y(uniform({b, h, n, d}, -1, 1, 3)),
        c(uniform({b, h, n, d}, -1, 1, 4)) {}
};

TEST(SolveOps, ConjugateGradientsEqualCholesky) {
  for (const auto& [n, m, d] :
       {std::array<int64_t, 3>{1, 1, 1}, {5, 7, 3}, {70, 33, 16}, {3, 4, 32}, {130, 90, 5}}) {
    const System s(2, 2, n, m, d);
    const Tensor x = gram_solve(s.w, s.k, s.y, s.c, 0.3, kExact);
    const Tensor want = squeeze(cholesky_solve(formed(s.w, s.k, s.c, 0.3), unsqueeze(s.y, 4)), 4);
    // Condition numbers here are below 1e4.
    EXPECT_LT(largest_difference(x, want), 1e-9) << n << " " << m << " " << d;
    const Tensor zero = Tensor::zeros(s.c.shape(), DType::f64);
    EXPECT_LT(largest_difference(gram_solve(s.w, s.k, s.y, {}, 0.3, kExact),
                                 gram_solve(s.w, s.k, s.y, zero, 0.3, kExact)),
              1e-10);
    // f32 to its tolerance of 1e-6 in the residual, over a least eigenvalue of 0.3.
    const auto f32 = [](const Tensor& t) { return cast(t, DType::f32); };
    const Tensor rough = gram_solve(f32(s.w), f32(s.k), f32(s.y), f32(s.c), 0.3,
                                    {.iterations = 200, .tolerance = 1e-6});
    EXPECT_LT(largest_difference(rough, x), 1e-4);
  }
}

TEST(SolveOps, CholeskyOfAWorkedExample) {
  // [4 2; 2 3] x = [2, 1]: x = [1/2, 0]
  const Tensor x = cholesky_solve(Tensor::from<double>({4, 2, 2, 3}, {2, 2}),
                                  Tensor::from<double>({2, 1}, {2, 1}));
  EXPECT_NEAR(x.to_vector<double>()[0], 0.5, 1e-15);
  EXPECT_NEAR(x.to_vector<double>()[1], 0.0, 1e-15);
}

TEST(SolveOps, Gradients) {
  for (const Shape& shape : {Shape{2, 3, 2}, Shape{1, 1, 1}, Shape{1, 5, 1}}) {  // [B, D, M]
    const int64_t dim = shape[1];
    const Tensor half = uniform({shape[0], dim, dim}, -1, 1, 1), sides = uniform(shape, -1, 1, 2);
    Values ones(static_cast<size_t>(dim * dim));
    for (int64_t d = 0; d < dim; ++d) ones[static_cast<size_t>(d * dim + d)] = 1.0;
    const Tensor unit = Tensor::from(ones, {dim, dim});
    expect_gradients(
        [&](const Inputs& in) {
          return cholesky_solve(add(matmul(in[0], transpose(in[0], 1, 2)), unit.to(in[0].device())),
                                in[1]);
        },
        {half, sides});
    // an asymmetric part has no influence, and gets no gradient
    const Tensor a = add(matmul(half, transpose(half, 1, 2)), unit);
    expect_gradients([](const Inputs& in) { return cholesky_solve(in[0], in[1]); }, {a, sides});
  }
  for (const System& s : {System(1, 2, 3, 5, 4), System(1, 1, 1, 1, 1), System(2, 1, 1, 7, 3)}) {
    expect_gradients(
        [](const Inputs& in) { return gram_solve(in[0], in[1], in[2], in[3], 0.4, kExact); },
        {s.w, s.k, s.y, s.c});
    expect_gradients(
        [](const Inputs& in) { return gram_solve(in[0], in[1], in[2], {}, 0.4, kExact); },
        {s.w, s.k, s.y});
  }
}

Tensor in_f32(const Tensor& t) { return cast(t, DType::f32); }

// The squares of such sides are beyond f32 on either end.
TEST(SolveOps, RightSidesOfAnySizeAreSolvedAlike) {
  const System s(1, 2, 70, 33, 8);
  const auto solve = [&](double size) {
    return gram_solve(in_f32(s.w), in_f32(s.k), in_f32(mul(s.y, size)), in_f32(s.c), 0.3, {});
  };
  const Tensor x = solve(1.0);
  for (const int exponent : {-110, -70, 70, 110}) {
    const double size = std::ldexp(1.0, exponent);
    EXPECT_LT(
        largest_difference(mul(cast(solve(size), DType::f64), 1.0 / size), cast(x, DType::f64)),
        1e-5)
        << exponent;
  }
  EXPECT_EQ(largest_difference(solve(0.0), Tensor::zeros(x.shape())), 0.0);
}

// Keys far from 0 with centres among them: what they have in common is not what is solved for.
TEST(SolveOps, ACommonOffsetOfTheKeysDoesNotMatter) {
  const System s(1, 2, 9, 40, 6);
  const double far = 128.0;
  const Tensor k = cast(in_f32(add(s.k, far)), DType::f64),
               c = cast(in_f32(add(s.c, far)), DType::f64);
  const Tensor want = gram_solve(s.w, k, s.y, c, 1e-2, kExact);
  const Tensor got = gram_solve(in_f32(s.w), in_f32(k), in_f32(s.y), in_f32(c), 1e-2,
                                {.iterations = 200, .tolerance = 1e-6});
  // Condition numbers are a few hundred: 1e-4 of solutions of up to 10.
  EXPECT_LT(largest_difference(cast(got, DType::f64), want), 1e-3);
}

TEST(SolveOps, SaysWhichSystemHasNoSolution) {
  EXPECT_THROW(cholesky_solve(Tensor::from<double>({1, 2, 2, 1}, {2, 2}),
                              Tensor::from<double>({1, 1}, {2, 1})),
               Error);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(
      cholesky_solve(Tensor::from<double>({nan}, {1, 1}), Tensor::from<double>({1}, {1, 1})),
      Error);
  const System s(1, 1, 2, 3, 2);
  EXPECT_THROW(gram_solve(mul(s.w, -5.0), s.k, s.y, {}, 0.1), Error);
  EXPECT_THROW(gram_solve(mul(s.w, nan), s.k, s.y, {}, 0.1), Error);
  EXPECT_THROW(gram_solve(s.w, s.k, mul(s.y, nan), {}, 0.1), Error);
  EXPECT_THROW(gram_solve(s.w, s.k, s.y, {}, 0.0), Error);
  EXPECT_THROW(gram_solve(s.w, s.y, s.k, {}, 0.1), Error);
  const System many(1, 2, 100, 3, 2);
  Values sides = many.y.to_vector<double>();
  sides[static_cast<size_t>((100 + 91) * 2)] = nan;
  try {
    gram_solve(many.w, many.k, Tensor::from(sides, many.y.shape()), {}, 0.1);
    FAIL() << "solved";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("row 91 of (batch, head) 1"), std::string::npos)
        << error.what();
  }
}

TEST(SolveOps, ResultsDoNotDependOnThreads) {
  const int before = thread_count();
  const System s(1, 3, 150, 90, 8);
  const auto f32 = [](const Tensor& t) { return cast(t, DType::f32); };
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    results.push_back(gram_solve(f32(s.w), f32(s.k), f32(s.y), f32(s.c), 0.2).to_vector<float>());
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
}

// --- local linear attention ---

constexpr LocalLinearOptions local(double ridge, bool causal = true, double scale = 0.0) {
  return {.scale = scale, .ridge = ridge, .causal = causal, .solver = kExact};
}

Values row_of(const Tensor& t, int64_t i) {
  return select(select(select(t, 0, 0), 0, 0), 0, i).to_vector<double>();
}

TEST(LocalLinearAttention, WorkedExample) {
  // One query 1 and keys 0, 2, 3 of values 0, 4, 6 with equal weights (a scale of almost 0): the
  // line v = 2 k as the ridge vanishes, 58/23 at a ridge of 1, the mean 10/3 under a large one.
  const Tensor q = Tensor::from<double>({1}, {1, 1, 1, 1});
  const Tensor k = Tensor::from<double>({0, 2, 3}, {1, 1, 3, 1});
  const Tensor v = Tensor::from<double>({0, 4, 6}, {1, 1, 3, 1});
  const auto at = [&](double ridge) {
    return local_linear_attention(q, k, v, local(ridge, false, 1e-300)).to_vector<double>()[0];
  };
  EXPECT_NEAR(at(1e-10), 2.0, 1e-8);
  EXPECT_NEAR(at(1.0), 58.0 / 23.0, 1e-12);
  EXPECT_NEAR(at(1e12), 10.0 / 3.0, 1e-9);
}

TEST(LocalLinearAttention, IsExactForAffineValues) {
  const int64_t n = 200, d = 4;
  const Tensor q = uniform({1, 1, n, d}, -1, 1, 1), k = uniform({1, 1, n, d}, -1, 1, 2);
  const Tensor a = uniform({d, 3}, -1, 1, 3), b = uniform({3}, -1, 1, 4);
  const auto affine = [&](const Tensor& x) { return add(matmul(x, a), b); };
  LocalLinearOptions options = local(1e-10);
  options.solver.iterations = 200;
  const Tensor out = local_linear_attention(q, k, affine(k), options), want = affine(q);
  for (int64_t i = 4 * d; i < n; ++i) {
    const Values got = row_of(out, i), expected = row_of(want, i);
    for (size_t c = 0; c < got.size(); ++c) EXPECT_NEAR(got[c], expected[c], 1e-6) << i;
  }
}

TEST(LocalLinearAttention, FirstRowIsItsValueAndLaterKeysAreNotSeen) {
  const Tensor q = uniform({1, 2, 140, 3}, -1, 1, 1), k = uniform({1, 2, 140, 3}, -1, 1, 2),
               v = uniform({1, 2, 140, 2}, -1, 1, 3);
  const Tensor out = local_linear_attention(q, k, v, local(0.05));
  EXPECT_LT(largest_difference(slice(out, 2, 0, 1), slice(v, 2, 0, 1)), 1e-14);
  const auto cut = [](const Tensor& x) { return slice(x, 2, 0, 131); };
  EXPECT_LT(
      largest_difference(local_linear_attention(cut(q), cut(k), cut(v), local(0.05)), cut(out)),
      1e-12);
}

TEST(LocalLinearAttention, Gradients) {
  const Tensor q = uniform({1, 2, 5, 3}, -1, 1, 1), k = uniform({1, 2, 5, 3}, -1, 1, 2),
               v = uniform({1, 2, 5, 2}, -1, 1, 3);
  for (const double ridge : {0.05, 10.0})
    for (const bool causal : {true, false})
      expect_gradients(
          [=](const Inputs& in) {
            return local_linear_attention(in[0], in[1], in[2], local(ridge, causal));
          },
          {q, k, v});
}

/// arXiv 2510.01450, section 5.1, in small: a stream of pairs (k, W k) whose map W and whose keys'
/// centre change every 128 steps, each value predicted from the pairs before it.
TEST(LocalLinearAttention, FollowsAStreamWhoseMapChanges) {
  const int64_t d = 16, length = 512, segment = 128;
  const RandomStream stream(RandomKey{11, 0, 0});
  uint64_t drawn = 0;
  const auto normal = [&](double scale) {
    return scale * static_cast<double>(stream.normal(drawn++));
  };
  Values keys, values, map(static_cast<size_t>(d * d)), centre(static_cast<size_t>(d));
  for (int64_t i = 0; i < length; ++i) {
    if (i % segment == 0) {
      double norm = 0.0;
      for (double& c : centre) norm += std::pow(c = normal(1.0), 2);
      for (double& c : centre) c *= 2.0 / std::sqrt(norm);
      for (double& m : map) m = normal(1.0 / std::sqrt(static_cast<double>(d)));
    }
    Values key;
    for (const double c : centre)
      key.push_back(c + normal(1.0 / std::sqrt(static_cast<double>(d))));
    keys.insert(keys.end(), key.begin(), key.end());
    for (size_t r = 0; r < key.size(); ++r) {
      double sum = 0.0;
      for (size_t c = 0; c < key.size(); ++c) sum += map[r * key.size() + c] * key[c];
      values.push_back(sum);
    }
  }
  const Tensor k = Tensor::from(keys, {1, 1, length, d}), v = Tensor::from(values, k.shape());
  const Tensor past_k = slice(k, 2, 0, length - 1), past_v = slice(v, 2, 0, length - 1),
               q = slice(k, 2, 1, length), want = slice(v, 2, 1, length);
  const auto error = [&](const Tensor& out, int64_t first, int64_t end) {
    const Tensor difference = slice(sub(out, want), 2, first - 1, end - 1);
    double sum = 0.0;
    for (const double x : difference.to_vector<double>()) sum += x * x;
    return sum / static_cast<double>(difference.numel());
  };
  LocalLinearOptions options = local(1e-3, true, 2.0);
  const Tensor local_out = local_linear_attention(q, past_k, past_v, options);
  options.ridge = 1e9;  // softmax attention
  const Tensor softmax_out = local_linear_attention(q, past_k, past_v, options);
  // one ridge regression on all that is past
  const int64_t n = length - 1;
  Values ones;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) ones.push_back(j <= i ? 1.0 : 0.0);
  const Tensor seen = Tensor::from(ones, {1, 1, n, n});
  const Tensor slope = gram_solve(seen, past_k, q, {}, 1e-3, kExact);
  const Tensor global_out = matmul(mul(matmul(slope, transpose(past_k, 2, 3)), seen), past_v);

  EXPECT_LT(3 * error(local_out, 1, length), error(softmax_out, 1, length));
  EXPECT_LT(3 * error(local_out, 1, length), error(global_out, 1, length));
  // within a later segment it learns; the global regression is the best in the first alone
  const int64_t last = length - segment;
  EXPECT_LT(5 * error(local_out, length - 32, length), error(local_out, last + 1, last + 32));
  EXPECT_LT(error(global_out, 96, segment), 1e-4);
  EXPECT_GT(error(global_out, length - 32, length), 10 * error(local_out, length - 32, length));
}

TEST(LocalLinearAttention, OtherDtypes) {
  const Tensor q = uniform({1, 2, 40, 8}, -1, 1, 1), v = uniform({1, 2, 40, 3}, -1, 1, 3);
  const Tensor want = local_linear_attention(q, q, v, local(0.1));
  const auto in = [&](DType dtype) {
    const Tensor keys = cast(q, dtype);
    return cast(local_linear_attention(keys, keys, cast(v, dtype), {.ridge = 0.1}), DType::f64);
  };
  EXPECT_LT(largest_difference(in(DType::f32), want), 1e-4);
  EXPECT_LT(largest_difference(in(DType::bf16), want), 0.05);
}

TEST(LocalLinearAttention, MemoryIsLinearInTheTokens) {
  const auto peak = [](int64_t n) {
    Tensor q = cast(uniform({1, 1, n, 8}), DType::f32);
    require_grad(q);
    allocator::reset_peak();
    const int64_t before = allocator::stats().in_use_bytes;
    backward(local_linear_attention(q, q, q, {.solver = {.iterations = 2}}),
             Tensor::full({1, 1, n, 8}, 1.0));
    return allocator::stats().peak_bytes - before;
  };
  peak(512);
  EXPECT_LT(peak(2048), 5 * peak(512));
}

}  // namespace
}  // namespace heed
