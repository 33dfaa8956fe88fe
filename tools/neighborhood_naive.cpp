// The naive form: for every query, one neighbour after the other.
#include <vector>

#include "core/parallel.h"
#include "tools/neighborhood_forms.h"

// Compiled for several instruction sets, as the kernels are: a fair opponent.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HEED_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define HEED_CLONES
#endif

namespace heed::tools {
namespace {

/// `count` vectors, `step` floats apart: tokens along the innermost axis.
struct Run {
  const float* first;
  int64_t step, count;
};

/// out[t] = <x, vector t>. A clone is chosen by an indirect call: one a run, not one a pair.
HEED_CLONES void dots(float* out, const float* x, const Run& run, int64_t width) {
  for (int64_t t = 0; t < run.count; ++t) {
    const float* y = run.first + t * run.step;
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < width; ++c) sum += x[c] * y[c];
    out[t] = sum;
  }
}

/// out += sum over t of factors[t] times vector t.
HEED_CLONES void add_scaled(float* out, const float* factors, const Run& run, int64_t width) {
  for (int64_t t = 0; t < run.count; ++t) {
    const float* y = run.first + t * run.step;
    const float factor = factors[t];
#pragma omp simd
    for (int64_t c = 0; c < width; ++c) out[c] += factor * y[c];
  }
}

class Naive final : public NeighborhoodOperators {
 public:
  explicit Naive(const NeighborhoodGrid& grid) : grid_(grid) {}

  void pn(const Tensor& x, const Tensor& y, const Tensor& a) const override {
    const int64_t width = x.size(2);
    auto* weights = a.data<float>();
    each_query(x.size(0), [&](int64_t row, int64_t sequence, auto&& each) {
      const float* own = x.data<float>() + row * width;
      const float* others = y.data<float>() + sequence * grid_.tokens() * width;
      float* out = weights + row * grid_.neighbours();
      each([&](int64_t place, int64_t j, int64_t count) {
        dots(out + place, own, {others + j * width, step() * width, count}, width);
      });
    });
  }

  Tensor nn(const Tensor& a, const Tensor& y) const override {
    const int64_t width = y.size(2);
    const Tensor result = Tensor::zeros(y.shape(), DType::f32);
    each_query(y.size(0), [&](int64_t row, int64_t sequence, auto&& each) {
      const float* weights = a.data<float>() + row * grid_.neighbours();
      const float* others = y.data<float>() + sequence * grid_.tokens() * width;
      float* out = result.data<float>() + row * width;
      each([&](int64_t place, int64_t j, int64_t count) {
        add_scaled(out, weights + place, {others + j * width, step() * width, count}, width);
      });
    });
    return result;
  }

  Tensor in(const Tensor& a, const Tensor& x) const override {
    const int64_t width = x.size(2), tokens = grid_.tokens(), neighbours = grid_.neighbours();
    const Tensor result = Tensor::zeros(x.shape(), DType::f32);
    parallel_for(x.size(0) * tokens, 16, [&](int64_t begin, int64_t end) {
      std::vector<float> factors;
      for (int64_t row = begin; row < end; ++row) {
        const int64_t sequence = row / tokens;
        const float* weights = a.data<float>() + sequence * tokens * neighbours;
        const float* others = x.data<float>() + sequence * tokens * width;
        float* out = result.data<float>() + row * width;
        each_seer(row % tokens, [&](int64_t i, int64_t count, const auto& place) {
          factors.clear();
          for (int64_t t = 0; t < count; ++t)
            factors.push_back(weights[(i + t * step()) * neighbours + place(t)]);
          add_scaled(out, factors.data(), {others + i * width, step() * width, count}, width);
        });
      }
    });
    return result;
  }

 private:
  using Axis = NeighborhoodGrid::Axis;

  /// Tokens from one of a run to the next.
  int64_t step() const { return grid_.axis(2).of.dilation; }

  /// Calls fn(row, sequence, each) for every query; each(visit) calls visit(place in A, key, count)
  /// for every run of keys.
  template <class Fn>
  void each_query(int64_t sequences, const Fn& fn) const {
    const int64_t tokens = grid_.tokens();
    parallel_for(sequences * tokens, 16, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        fn(row, row / tokens, [&](auto&& visit) { each_key(row % tokens, visit); });
      }
    });
  }

  template <class Visit>
  void each_key(int64_t token, const Visit& visit) const {
    const Axis &x = grid_.axis(0), &y = grid_.axis(1), &z = grid_.axis(2);
    const int64_t k = token % z.of.length, j = token / z.of.length % y.of.length;
    const int64_t i = token / z.of.length / y.of.length;
    for (int64_t a = 0; a < x.count[static_cast<size_t>(i)]; ++a) {
      for (int64_t b = 0; b < y.count[static_cast<size_t>(j)]; ++b) {
        const int64_t line =
            NeighborhoodGrid::key(x, i, a) * y.of.length + NeighborhoodGrid::key(y, j, b);
        const int64_t place = (a * y.of.window + b) * z.of.window;
        visit(place, line * z.of.length + NeighborhoodGrid::key(z, k, 0),
              int64_t{z.count[static_cast<size_t>(k)]});
      }
    }
  }

  /// The queries along an axis that see the key at `j`, first and one past the last in places of
  /// its residue: not the neighbours of j, near borders.
  struct Seers {
    int64_t residue, first, end;
  };
  static Seers seers(const Axis& axis, int64_t j) {
    const int64_t d = axis.of.dilation, k = axis.of.window, residue = j % d, m = j / d;
    const int64_t group = axis.of.length / d + (residue < axis.of.length % d ? 1 : 0);
    if (axis.of.causal) return {residue, m, std::min(m + k, group)};
    const int64_t left = k / 2, right = k / 2 + k % 2 - 1;
    return {residue, m < k ? 0 : m - right, m >= group - k ? group : m + left + 1};
  }

  /// Calls visit(query, count, place) for every run of queries; place(t): of the token in the row
  /// that query t of the run has in A.
  template <class Visit>
  void each_seer(int64_t token, const Visit& visit) const {
    const Axis &x = grid_.axis(0), &y = grid_.axis(1), &z = grid_.axis(2);
    const int64_t at[3] = {token / z.of.length / y.of.length, token / z.of.length % y.of.length,
                           token % z.of.length};
    const Seers a = seers(x, at[0]), b = seers(y, at[1]), c = seers(z, at[2]);
    const auto place = [](const Axis& axis, int64_t query, int64_t key) {
      return (key - axis.first[static_cast<size_t>(query)]) / axis.of.dilation;
    };
    for (int64_t p = a.first; p < a.end; ++p) {
      const int64_t i = a.residue + p * x.of.dilation, pi = place(x, i, at[0]);
      for (int64_t q = b.first; q < b.end; ++q) {
        const int64_t j = b.residue + q * y.of.dilation;
        const int64_t pj = pi * y.of.window + place(y, j, at[1]);
        const int64_t k = c.residue + c.first * z.of.dilation;
        visit((i * y.of.length + j) * z.of.length + k, c.end - c.first,
              [&](int64_t t) { return pj * z.of.window + place(z, k + t * z.of.dilation, at[2]); });
      }
    }
  }

  NeighborhoodGrid grid_;
};

}  // namespace

std::unique_ptr<NeighborhoodOperators> naive_neighborhood(const NeighborhoodGrid& grid) {
  return std::make_unique<Naive>(grid);
}

}  // namespace heed::tools
