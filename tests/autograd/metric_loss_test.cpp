#include "autograd/ops/metric_loss.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "autograd/gradcheck.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::normal;

const Reduction kReductions[] = {Reduction::mean, Reduction::sum, Reduction::none};

TEST(MetricLoss, Gradients) {
  for (const Shape& shape : {Shape{5, 3}, Shape{1, 7}, Shape{2, 3, 4}}) {
    const std::vector<Tensor> inputs = {normal(shape, "a"), normal(shape, "p"), normal(shape, "n")};
    Shape rows = shape;
    rows.erase(rows.rank() - 1);
    std::vector<double> signs(static_cast<size_t>(rows.numel()), 1.0);
    for (size_t i = 0; i < signs.size(); i += 2) signs[i] = -1;
    const Tensor sign = Tensor::from(signs, rows);
    const auto check = [&](auto op) {
      EXPECT_EQ(
          gradcheck([&](const std::vector<Tensor>& in) { return op(in[0], in[1], in[2]); }, inputs),
          "");
    };
    using T = const Tensor&;
    check([](T a, T p, T) { return cosine_similarity(a, p); });
    check([](T a, T p, T) { return distance(a, p); });
    for (const Reduction r : kReductions) {
      check([&](T a, T p, T) { return cosine_embedding_loss(a, p, sign, -0.9, r); });
      for (const bool soft : {false, true}) {
        check([&](T a, T p, T n) { return triplet_loss(a, p, n, 5.0, soft, r); });
      }
    }
  }
}

TEST(MetricLoss, GradientsOverTheBatch) {
  const Tensor labels = Tensor::from<int64_t>({0, 1, 0, 2, 1, 0, 3}, {7});
  for (const bool flag : {false, true}) {
    EXPECT_EQ(gradcheck(
                  [&](const std::vector<Tensor>& in) {
                    return batch_hard_triplet_loss(in[0], labels, 4.0, flag);
                  },
                  {normal({7, 3}, "x")}),
              "");
    for (const int64_t n : {1, 4}) {
      EXPECT_EQ(
          gradcheck(
              [&](const std::vector<Tensor>& in) { return info_nce_loss(in[0], in[1], 0.5, flag); },
              {normal({n, 3}, "x"), normal({n, 3}, "y")}),
          "");
    }
  }
}

TEST(PrototypeLoss, Gradients) {
  for (const Shape& shape : {Shape{1, 1, 2, 3}, Shape{2, 3, 5, 7}}) {  // [E, N, S + Q, D]
    for (const bool cosine : {false, true}) {
      for (const int64_t shots : {int64_t{1}, shape[2] - 1}) {
        const Tensor x = normal(shape, "episodes");
        EXPECT_EQ(gradcheck(
                      [&](const std::vector<Tensor>& in) {
                        return prototype_logits(in[0], shots, cosine);
                      },
                      {x}),
                  "");
        EXPECT_EQ(gradcheck(
                      [&](const std::vector<Tensor>& in) {
                        return prototype_loss(in[0], shots, cosine, 0.3);
                      },
                      {x}),
                  "");
      }
    }
  }
}

// One episode after the other, each query against each class, as the paper has it.
TEST(PrototypeLoss, EqualsTheFormula) {
  const int64_t episodes = 2, ways = 3, shots = 2, queries = 4, dim = 5;
  const Tensor x = normal({episodes, ways, shots + queries, dim}, "x");
  const double* values = x.data<double>();
  const auto at = [&](int64_t e, int64_t n, int64_t i, int64_t c) {
    return values[((e * ways + n) * (shots + queries) + i) * dim + c];
  };
  double loss = 0.0;
  for (int64_t e = 0; e < episodes; ++e) {
    for (int64_t n = 0; n < ways; ++n) {
      for (int64_t q = shots; q < shots + queries; ++q) {
        double all = 0.0, own = 0.0;
        for (int64_t other = 0; other < ways; ++other) {
          double square = 0.0;
          for (int64_t c = 0; c < dim; ++c) {
            double prototype = 0.0;
            for (int64_t s = 0; s < shots; ++s) prototype += at(e, other, s, c) / shots;
            square += (at(e, n, q, c) - prototype) * (at(e, n, q, c) - prototype);
          }
          all += std::exp(-0.5 * square);
          if (other == n) own = -0.5 * square;
        }
        loss += std::log(all) - own;
      }
    }
  }
  EXPECT_NEAR(prototype_loss(x, shots, false, 0.5).item(), loss / (episodes * ways * queries),
              1e-13);
  EXPECT_THROW(prototype_logits(x, shots + queries), Error);
  EXPECT_THROW(prototype_logits(x, 0), Error);
}

TEST(CosineSimilarity, OfZeroIsZero) {
  const Tensor x = Tensor::from<float>({0, 0, 3, 4}, {2, 2}),
               y = Tensor::from<float>({1, 1, 4, 3}, {2, 2});
  const auto cosine = cosine_similarity(x, y).to_vector<float>();
  EXPECT_EQ(cosine[0], 0.f);
  EXPECT_NEAR(cosine[1], 0.96f, 1e-6);
}

// Every pair tried, as the paper defines it.
TEST(BatchHardTripletLoss, MinesTheHardestOfTheBatch) {
  const int64_t n = 9, d = 4;
  const Tensor x = normal({n, d}, "x"), labels = testing::integers({n}, 3, "labels");
  const auto far = [&](int64_t i, int64_t j) {
    double sum = 0;
    for (int64_t c = 0; c < d; ++c) {
      const double e = x.data<double>()[i * d + c] - x.data<double>()[j * d + c] + 1e-6;
      sum += e * e;
    }
    return std::sqrt(sum);
  };
  double expected = 0;
  int counted = 0;
  for (int64_t i = 0; i < n; ++i) {
    double positive = -1, negative = 1e9;
    for (int64_t j = 0; j < n; ++j) {
      const bool same = labels.data<int64_t>()[i] == labels.data<int64_t>()[j];
      if (same && i != j) positive = std::max(positive, far(i, j));
      if (!same) negative = std::min(negative, far(i, j));
    }
    if (positive < 0 || negative > 1e8) continue;
    expected += std::max(0.0, positive - negative + 0.5);
    ++counted;
  }
  ASSERT_GT(counted, 0);
  EXPECT_NEAR(batch_hard_triplet_loss(x, labels, 0.5).item(), expected / counted, 1e-13);
}

TEST(BatchHardTripletLoss, WithoutTripletsIsZero) {
  Tensor x = normal({3, 2}, "x");
  require_grad(x);
  const Tensor loss = batch_hard_triplet_loss(x, Tensor::from<int64_t>({1, 1, 1}, {3}));
  EXPECT_EQ(loss.item(), 0.0);
  backward(loss);
  EXPECT_EQ(grad(x).to_vector<double>(), std::vector<double>(6, 0.0));
}

TEST(InfoNce, AlignedPairsCostLeast) {
  const Tensor x = normal({6, 16}, "x"), y = normal({6, 16}, "y");
  EXPECT_LT(info_nce_loss(x, x, 0.1).item(), info_nce_loss(x, y, 0.1).item());
  EXPECT_NEAR(info_nce_loss(x, y, 1e9).item(), std::log(6.0), 1e-8);
  EXPECT_THROW(info_nce_loss(x, y, 0.0), Error);
  EXPECT_THROW(cosine_embedding_loss(x, y, Tensor::zeros({6})), Error);
}

}  // namespace
}  // namespace heed
