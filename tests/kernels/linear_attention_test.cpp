#include "kernels/linear_attention/linear_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/parallel.h"
#include "core/random.h"
#include "core/views.h"
#include "kernels/copy/copy.h"

namespace heed {
namespace {

using kernels::LinearAttentionGradients;
using kernels::LinearAttentionInputs;
using kernels::LinearAttentionOutput;

enum class Gate { none, token, channel };

struct Sizes {
  int64_t batch, heads, tokens, key_dim, value_dim;
};

Tensor random(const Shape& shape, DType dtype, uint64_t purpose, float low = -1, float high = 1) {
  const Tensor t = Tensor::empty(shape, dtype);
  const RandomStream stream({7, purpose, 0});
  dispatch_floating(dtype, "random", [&](auto type) {
    using T = decltype(type);
    for (int64_t i = 0; i < t.numel(); ++i)
      t.data<T>()[i] =
          static_cast<T>(low + (high - low) * stream.uniform(static_cast<uint64_t>(i)));
  });
  return t;
}

struct Case {
  LinearAttentionInputs in;
  Tensor dout, dstate;

  Case(const Sizes& s, DType dtype, Gate gate, bool state, float least = -0.5f) {
    const auto [b, h, n, d, e] = s;
    const DType wide = dtype == DType::f64 ? DType::f64 : DType::f32;
    in.q = random({b, h, n, d}, dtype, 1);
    in.k = random({b, h, n, d}, dtype, 2);
    in.v = random({b, h, n, e}, dtype, 3);
    if (gate == Gate::token) in.log_decay = random({b, h, n}, wide, 4, least, 0);
    if (gate == Gate::channel) in.log_decay = random({b, h, n, d}, wide, 4, least, 0);
    if (state) in.state = random({b, h, d, e}, wide, 5);
    if (state) dstate = random({b, h, d, e}, wide, 6);
    dout = random({b, h, n, e}, dtype, 7);
  }
};

/// A value and the sum of the magnitudes that it was added from.
struct Bounded {
  double value = 0.0, size = 0.0;
  void add(double term) { value += term, size += std::abs(term); }
};
using Values = std::vector<Bounded>;

/// All pairs of one head, as the sum over j <= i reads. A state before the sequence is D tokens in
/// front of it, whose keys are the unit vectors and whose values its rows; that of a last state's
/// gradient is D queries behind.
struct Oracle {
  int64_t n, d, e;
  std::vector<double> q, k, v, dy, g;  // rows of all n tokens
  Values out, dq, dk, dv, dg;
  Bounded pairs;  // the size of all that dg is made from

  static std::vector<double> rows(const Tensor& x, int64_t b, int64_t h) {
    if (!x.defined()) return {};
    return views::select(views::select(x, 0, b), 0, h).to_vector<double>();
  }

  Oracle(const Case& c, int64_t b, int64_t h)
      : n(c.in.q.size(2) + 2 * c.in.q.size(3)), d(c.in.q.size(3)), e(c.in.v.size(3)) {
    const int64_t tokens = c.in.q.size(2);
    const auto place = [&](const std::vector<double>& from, int64_t width, int64_t first,
                           std::vector<double>& to) {
      to.resize(static_cast<size_t>(n * width));
      std::copy(from.begin(), from.end(), to.begin() + first * width);
    };
    std::vector<double> unit(static_cast<size_t>(d * d));
    for (int64_t i = 0; i < d; ++i) unit[static_cast<size_t>(i * d + i)] = 1.0;
    place(rows(c.in.q, b, h), d, d, q);
    place(unit, d, d + tokens, q);
    place(unit, d, 0, k);
    place(rows(c.in.k, b, h), d, d, k);
    place(rows(c.in.state, b, h), e, 0, v);
    place(rows(c.in.v, b, h), e, d, v);
    place(rows(c.dout, b, h), e, d, dy);
    place(rows(c.dstate, b, h), e, d + tokens, dy);
    std::vector<double> decays = rows(c.in.log_decay, b, h);
    if (c.in.log_decay.defined() && c.in.log_decay.rank() == 3) {  // the same for each channel
      std::vector<double> wide;
      for (const double value : decays) wide.insert(wide.end(), static_cast<size_t>(d), value);
      decays = wide;
    }
    place(decays, d, d, g);
    for (Values* x : {&out, &dv}) x->resize(static_cast<size_t>(n * e));
    for (Values* x : {&dq, &dk, &dg}) x->resize(static_cast<size_t>(n * d));
    std::vector<double> steps(static_cast<size_t>((n + 1) * d));  // of dg, from token to token
    for (int64_t i = 0; i < n; ++i) {
      std::vector<double> log(static_cast<size_t>(d));
      for (int64_t j = i; j >= 0; --j) {
        pair(i, j, log, steps);
        for (int64_t a = 0; a < d; ++a) log[static_cast<size_t>(a)] += at(g, j, a, d);
      }
    }
    for (int64_t t = 0; t < n; ++t)
      for (int64_t a = 0; a < d; ++a) {
        if (t > 0)
          steps[static_cast<size_t>(t * d + a)] += steps[static_cast<size_t>(t * d - d + a)];
        dg[static_cast<size_t>(t * d + a)] = {steps[static_cast<size_t>(t * d + a)], pairs.size};
      }
  }

  static double at(const std::vector<double>& x, int64_t row, int64_t column, int64_t width) {
    return x[static_cast<size_t>(row * width + column)];
  }

  void pair(int64_t i, int64_t j, const std::vector<double>& log, std::vector<double>& steps) {
    double gradient = 0.0;
    for (int64_t c = 0; c < e; ++c) gradient += at(dy, i, c, e) * at(v, j, c, e);
    for (int64_t a = 0; a < d; ++a) {
      const double decay = std::exp(log[static_cast<size_t>(a)]);
      const double weight = at(q, i, a, d) * at(k, j, a, d) * decay;
      for (int64_t c = 0; c < e; ++c) {
        out[static_cast<size_t>(i * e + c)].add(weight * at(v, j, c, e));
        dv[static_cast<size_t>(j * e + c)].add(weight * at(dy, i, c, e));
        dq[static_cast<size_t>(i * d + a)].add(at(k, j, a, d) * decay * at(dy, i, c, e) *
                                               at(v, j, c, e));
        dk[static_cast<size_t>(j * d + a)].add(at(q, i, a, d) * decay * at(dy, i, c, e) *
                                               at(v, j, c, e));
        pairs.add(weight * at(dy, i, c, e) * at(v, j, c, e));
      }
      steps[static_cast<size_t>((j + 1) * d + a)] += weight * gradient;
      steps[static_cast<size_t>((i + 1) * d + a)] -= weight * gradient;
    }
  }
};

/// got [.., rows, width] equals rows [first, ...) of want to `relative` of the terms' size, and the
/// rounding of the result to its dtype.
void expect_rows(const Tensor& got, int64_t b, int64_t h, const Values& want, int64_t first,
                 double relative, const char* what) {
  const auto values = Oracle::rows(got, b, h);
  const int64_t width = got.size(3);
  const double rounding = got.dtype() == DType::bf16 ? 0x1p-8 : 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    const Bounded& w = want[static_cast<size_t>(first * width) + i];
    ASSERT_NEAR(values[i], w.value, relative * w.size + rounding * std::abs(w.value) + 0x1p-100)
        << what << " " << i << " of head " << h;
  }
}

void expect_oracle(const Sizes& s, DType dtype, Gate gate, bool state, float least = -0.5f) {
  SCOPED_TRACE(fmt::format("B{} H{} N{} D{} Dv{} {} gate {} state {} least {}", s.batch, s.heads,
                           s.tokens, s.key_dim, s.value_dim, name_of(dtype), static_cast<int>(gate),
                           state, least));
  const Case c(s, dtype, gate, state, least);
  const LinearAttentionOutput y = kernels::linear_attention(c.in);
  const LinearAttentionGradients grads =
      kernels::linear_attention_backward(c.dout, c.dstate, c.in, y.states);
  // Sums of that many terms, and powers of 2 up to 2^-126, whose exponents are rounded.
  const double eps = dtype == DType::f64 ? 0x1p-53 : 0x1p-24;
  const double relative = eps * static_cast<double>(s.tokens + s.key_dim + s.value_dim + 128);
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t h = 0; h < s.heads; ++h) {
      const Oracle want(c, b, h);
      expect_rows(y.out, b, h, want.out, s.key_dim, relative, "out");
      expect_rows(y.state, b, h, want.out, s.key_dim + s.tokens, relative, "state");
      expect_rows(grads.dq, b, h, want.dq, s.key_dim, relative, "dq");
      expect_rows(grads.dk, b, h, want.dk, s.key_dim, relative, "dk");
      expect_rows(grads.dv, b, h, want.dv, s.key_dim, relative, "dv");
      expect_rows(grads.dstate, b, h, want.dv, 0, relative, "dstate");
      if (gate == Gate::channel) {
        expect_rows(grads.dlog_decay, b, h, want.dg, s.key_dim, relative, "dlog_decay");
      } else if (gate == Gate::token) {
        Values sums(static_cast<size_t>(s.tokens));
        for (int64_t t = 0; t < s.tokens; ++t)
          for (int64_t a = 0; a < s.key_dim; ++a)
            sums[static_cast<size_t>(t)].value +=
                want.dg[static_cast<size_t>((s.key_dim + t) * s.key_dim + a)].value;
        for (Bounded& sum : sums) sum.size = want.pairs.size;
        expect_rows(views::unsqueeze(grads.dlog_decay, 3), b, h, sums, 0, relative, "dlog_decay");
      }
    }
}

TEST(LinearAttention, EqualsTheSumOverPairs) {
  for (const Sizes& s :
       {Sizes{1, 1, 1, 1, 1}, Sizes{2, 3, 5, 3, 7}, Sizes{1, 2, 64, 16, 16}, Sizes{1, 2, 65, 8, 20},
        Sizes{2, 1, 130, 17, 33}, Sizes{1, 1, 70, 64, 48}, Sizes{1, 1, 80, 72, 5}})
    for (const Gate gate : {Gate::none, Gate::token, Gate::channel})
      for (const bool state : {false, true})
        for (const DType dtype : {DType::f32, DType::bf16, DType::f64})
          expect_oracle(s, dtype, gate, state);
}

TEST(LinearAttention, StrongDecaysLoseNothing) {
  for (const Gate gate : {Gate::token, Gate::channel})
    for (const float least : {-3.0f, -40.0f, -2000.0f})
      expect_oracle({1, 2, 130, 5, 6}, DType::f32, gate, true, least);
}

TEST(LinearAttention, ADecayToZeroForgetsAllBefore) {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const Gate gate : {Gate::token, Gate::channel}) {
      const Case whole({1, 2, 100, 4, 5}, dtype, gate, true);
      const int64_t reset = 70;
      Case cut = whole;
      const Tensor at = views::slice(whole.in.log_decay, 2, reset, reset + 1);
      kernels::copy(
          views::expand(Tensor::full({1}, -std::numeric_limits<double>::infinity(), at.dtype()),
                        at.shape()),
          at);
      const auto y = kernels::linear_attention(whole.in);
      const auto grads =
          kernels::linear_attention_backward(whole.dout, whole.dstate, whole.in, y.states);
      for (const double value : grads.dlog_decay.to_vector<double>())
        EXPECT_TRUE(std::isfinite(value));
      const Tensor before = views::slice(whole.dout, 2, 0, reset);
      kernels::copy(Tensor::zeros(before.shape(), dtype), before);
      const auto late =
          kernels::linear_attention_backward(whole.dout, whole.dstate, whole.in, y.states);
      for (const double value : late.dstate.to_vector<double>()) EXPECT_EQ(value, 0.0);
      for (Tensor* x : {&cut.in.q, &cut.in.k, &cut.in.v, &cut.in.log_decay})
        *x = views::slice(*x, 2, reset, 100);
      cut.in.state = Tensor();
      const auto rest = kernels::linear_attention(cut.in);
      const double tolerance = dtype == DType::f64 ? 1e-14 : 1e-5;
      const auto got = kernels::contiguous_as(views::slice(y.out, 2, reset, 100), DType::f64)
                           .to_vector<double>();
      const auto want = kernels::contiguous_as(rest.out, DType::f64).to_vector<double>();
      for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], tolerance);
    }
}

TEST(LinearAttention, PiecesGoOnFromTheState) {
  for (const Gate gate : {Gate::none, Gate::token, Gate::channel}) {
    const Case c({2, 2, 150, 12, 9}, DType::f32, gate, true);
    const auto whole = kernels::linear_attention(c.in);
    LinearAttentionInputs part = c.in;
    int64_t done = 0;
    for (const int64_t tokens : {1, 1, 62, 70, 16}) {
      const auto cut = [&](const Tensor& x) {
        return x.defined() ? views::slice(x, 2, done, done + tokens) : x;
      };
      part = {cut(c.in.q), cut(c.in.k), cut(c.in.v), cut(c.in.log_decay), part.state};
      const auto y = kernels::linear_attention(part);
      const auto got = y.out.to_vector<double>();
      const auto want = views::slice(whole.out, 2, done, done + tokens).to_vector<double>();
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_NEAR(got[i], want[i], 1e-5 * (1 + std::abs(want[i])));
      part.state = y.state;
      done += tokens;
    }
  }
}

TEST(LinearAttention, ResultsDoNotDependOnThreadsOrStrides) {
  const int threads = thread_count();
  for (const Gate gate : {Gate::none, Gate::token, Gate::channel})
    for (const DType dtype : {DType::f32, DType::bf16}) {
      Case c({2, 3, 333, 24, 40}, dtype, gate, true);
      std::vector<std::vector<double>> results;
      for (const int count : {1, 2, 5}) {
        set_thread_count(count);
        const auto y = kernels::linear_attention(c.in);
        const auto g = kernels::linear_attention_backward(c.dout, c.dstate, c.in, y.states);
        std::vector<double> all;
        for (const Tensor& t :
             {y.out, y.state, g.dq, g.dk, g.dv, g.dstate, gate == Gate::none ? g.dq : g.dlog_decay})
          for (const double value : t.to_vector<double>()) all.push_back(value);
        results.push_back(all);
        // the next time token-major, and with rows that are not contiguous
        c.in.q =
            views::transpose(kernels::contiguous_as(views::transpose(c.in.q, 1, 2), dtype), 1, 2);
        c.in.k =
            views::transpose(kernels::contiguous_as(views::transpose(c.in.k, 2, 3), dtype), 2, 3);
      }
      EXPECT_EQ(results[0], results[1]);
      EXPECT_EQ(results[0], results[2]);
    }
  set_thread_count(threads);
}

TEST(LinearAttention, UndefinedGradientsAreZero) {
  const Case c({1, 2, 70, 5, 6}, DType::f32, Gate::token, true);
  const auto y = kernels::linear_attention(c.in);
  const Tensor zero = Tensor::zeros(c.dout.shape()), no_state = Tensor::zeros(c.dstate.shape());
  const auto values = [](const LinearAttentionGradients& g) { return g.dk.to_vector<float>(); };
  EXPECT_EQ(values(kernels::linear_attention_backward({}, c.dstate, c.in, y.states)),
            values(kernels::linear_attention_backward(zero, c.dstate, c.in, y.states)));
  EXPECT_EQ(values(kernels::linear_attention_backward(c.dout, {}, c.in, y.states)),
            values(kernels::linear_attention_backward(c.dout, no_state, c.in, y.states)));
}

TEST(LinearAttention, EmptySequencesAndWrongShapes) {
  const Case none({1, 2, 0, 5, 6}, DType::f32, Gate::token, true);
  EXPECT_EQ(kernels::linear_attention(none.in).state.to_vector<float>(),
            none.in.state.to_vector<float>());
  LinearAttentionInputs in = Case({1, 2, 4, 5, 6}, DType::f32, Gate::channel, true).in;
  const auto throws = [&](auto change) {
    LinearAttentionInputs wrong = in;
    change(wrong);
    EXPECT_THROW(kernels::linear_attention(wrong), Error);
  };
  throws([](auto& x) { x.k = x.v; });
  throws([](auto& x) { x.v = x.v.detach(), x.v = views::slice(x.v, 2, 0, 3); });
  throws([](auto& x) { x.log_decay = views::slice(x.log_decay, 3, 0, 1); });
  throws([](auto& x) { x.state = views::slice(x.state, 3, 0, 5); });
}

}  // namespace
}  // namespace heed
