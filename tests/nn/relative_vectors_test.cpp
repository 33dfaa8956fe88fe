#include "nn/attention/relative_vectors.h"

#include <gtest/gtest.h>

#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::random_tensor;
using testing::relative_distance;

struct Problem {
  int64_t queries, keys, reach;
  RelativeVectors::Pairs pairs;
  AttentionPattern pattern;
};

/// Equations 3 and 4 by loops; `sees` is the pattern.
std::vector<double> by_hand(const Problem& p, const Tensor& q, const Tensor& k, const Tensor& v,
                            const Tensor& of_keys, const Tensor& of_values, double scale,
                            const std::function<bool(int64_t, int64_t)>& sees) {
  const int64_t batch = q.size(0), heads = q.size(1), dim = q.size(3);
  const auto qs = q.to_vector<double>(), ks = k.to_vector<double>(), vs = v.to_vector<double>(),
             rk = of_keys.to_vector<double>(), rv = of_values.to_vector<double>();
  std::vector<double> out;
  for (int64_t row = 0; row < batch * heads; ++row) {
    for (int64_t i = 0; i < p.queries; ++i) {
      std::vector<double> sum(static_cast<size_t>(dim), 0.0);
      double total = 0.0;
      for (int64_t j = 0; j < p.keys; ++j) {
        if (!sees(i, j)) continue;
        const int64_t d =
            std::clamp<int64_t>(j - i - p.pairs.query_offset, -p.reach, p.reach) + p.reach;
        double logit = 0.0;
        for (int64_t c = 0; c < dim; ++c)
          logit += scale * qs[static_cast<size_t>((row * p.queries + i) * dim + c)] *
                   (ks[static_cast<size_t>((row * p.keys + j) * dim + c)] +
                    rk[static_cast<size_t>(d * dim + c)]);
        const double e = std::exp(logit);
        total += e;
        for (int64_t c = 0; c < dim; ++c)
          sum[static_cast<size_t>(c)] +=
              e * (vs[static_cast<size_t>((row * p.keys + j) * dim + c)] +
                   rv[static_cast<size_t>(d * dim + c)]);
      }
      for (const double s : sum) out.push_back(s / total);
    }
  }
  return out;
}

TEST(RelativeVectors, AreShawsEquations) {
  const auto past = [](int64_t offset) {
    return [offset](int64_t i, int64_t j) { return j <= i + offset; };
  };
  const std::vector<std::pair<Problem, std::function<bool(int64_t, int64_t)>>> problems = {
      {{7, 7, 3, {.farthest = 6}, AttentionPattern::causal()}, past(0)},
      {{7, 7, 40, {.farthest = 6}, AttentionPattern::causal()}, past(0)},
      {{7, 7, 2, {.farthest = 6, .causal = false}, {}}, [](int64_t, int64_t) { return true; }},
      {{2, 9, 4, {.farthest = 8, .query_offset = 7}, AttentionPattern::causal(7)}, past(7)},
      {{1, 1, 5, {.farthest = 0}, AttentionPattern::causal()}, past(0)},
  };
  for (const auto& [p, sees] : problems) {
    for (const double scale : {0.0, 1.0}) {
      RelativeVectors vectors(p.reach, 3);
      vectors.initialise(3);
      vectors.convert(DType::f64);
      testing::randomise(vectors);
      const NoGrad none;
      const Tensor q = random_tensor({2, 2, p.queries, 3}, "q", DType::f64),
                   k = random_tensor({2, 2, p.keys, 3}, "k", DType::f64),
                   v = random_tensor({2, 2, p.keys, 3}, "v", DType::f64);
      AttentionSpec how;
      how.pattern = p.pattern;
      how.score.scale = scale;
      const Tensor found = vectors.attend(q, k, v, how, p.pairs);
      const auto wanted = by_hand(p, q, k, v, vectors.keys, vectors.values,
                                  scale > 0.0 ? scale : 1.0 / std::sqrt(3.0), sees);
      EXPECT_LT(relative_distance(found, Tensor::from(wanted, {2, 2, p.queries, 3})), 1e-12)
          << p.queries << " of " << p.keys << ", reach " << p.reach << ", scale " << scale;
    }
  }
}

}  // namespace
}  // namespace heed::nn
