#include "autograd/ops/distribution_loss.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "autograd/gradcheck.h"
#include "autograd/ops/loss.h"
#include "core/parallel.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::integers;
using testing::normal;

const Reduction kReductions[] = {Reduction::mean, Reduction::sum, Reduction::none};

TEST(DistributionLoss, Gradients) {
  for (const Shape& shape : {Shape{1}, Shape{3, 7}, Shape{2, 1, 17}, Shape{4, 33}}) {
    const Tensor targets = softmax(normal(shape, "t"), -1), teacher = normal(shape, "teacher");
    for (const Reduction r : kReductions) {
      const auto check = [&](auto op) {
        EXPECT_EQ(gradcheck([&](const std::vector<Tensor>& in) { return op(in[0]); },
                            {normal(shape, "x")}),
                  "");
      };
      check([&](const Tensor& x) { return soft_cross_entropy(x, targets, 0.0, r); });
      check([&](const Tensor& x) { return soft_cross_entropy(x, targets, 0.2, r); });
      // targets need not add up to 1
      check([&](const Tensor& x) { return soft_cross_entropy(x, teacher, 0.1, r); });
      check([&](const Tensor& x) { return distillation_loss(x, teacher, 2.5, r); });
      check([&](const Tensor& x) { return z_loss(x, r); });
    }
  }
}

// softmax cross-entropy against hard targets is the soft one against their one-hot rows
TEST(SoftCrossEntropy, EqualsCrossEntropyOnOneHotTargets) {
  const Tensor x = normal({5, 13}, "x"), ids = integers({5}, 13, "ids");
  const Tensor one_hot = Tensor::zeros({5, 13}, DType::f64);
  for (int64_t i = 0; i < 5; ++i) one_hot.data<double>()[i * 13 + ids.data<int64_t>()[i]] = 1;
  for (const double smoothing : {0.0, 0.3}) {
    EXPECT_NEAR(soft_cross_entropy(x, one_hot, smoothing).item(),
                cross_entropy(x, ids, {.smoothing = smoothing}).item(), 1e-14);
  }
}

TEST(CrossEntropy, ReductionsAgree) {
  const Tensor ids = integers({2, 3}, 7, "ids");
  ids.data<int64_t>()[4] = -100;
  for (const Reduction r : {Reduction::sum, Reduction::none}) {
    EXPECT_EQ(gradcheck(
                  [&](const std::vector<Tensor>& in) {
                    return cross_entropy(in[0], ids, {.smoothing = 0.1, .reduction = r});
                  },
                  {normal({2, 3, 7}, "x")}),
              "");
  }
  EXPECT_EQ(gradcheck(
                [&](const std::vector<Tensor>& in) {
                  return linear_cross_entropy(in[0], in[1], {}, ids, {.reduction = Reduction::sum});
                },
                {normal({2, 3, 4}, "x"), normal({7, 4}, "w")}),
            "");
  const Tensor x = normal({2, 3, 7}, "x");
  const auto each = cross_entropy(x, ids, {.reduction = Reduction::none}).to_vector<double>();
  EXPECT_EQ(each[4], 0.0);
  double sum = 0;
  for (const double loss : each) sum += loss;
  EXPECT_NEAR(cross_entropy(x, ids, {.reduction = Reduction::sum}).item(), sum, 1e-13);
  EXPECT_NEAR(cross_entropy(x, ids).item(), sum / 5, 1e-13);
  EXPECT_THROW(linear_cross_entropy(normal({2, 3, 4}, "x"), normal({7, 4}, "w"), {}, ids,
                                    {.reduction = Reduction::none}),
               Error);
}

// Each loss by its formula in f64, on one to three threads.
TEST(DistributionLoss, EqualsTheF64Formula) {
  const int64_t rows = 57, classes = 1003;
  const size_t n = static_cast<size_t>(classes);
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    const Tensor x = normal({rows, classes}, "x", dtype), t = normal({rows, classes}, "t", dtype);
    const Tensor p = softmax(t, -1);
    const auto xs = x.to_vector<double>(), ts = t.to_vector<double>(), ps = p.to_vector<double>();
    const auto lse = [&](const std::vector<double>& v, size_t row, double temperature) {
      double sum = 0;
      for (size_t i = 0; i < n; ++i) sum += std::exp(v[row * n + i] / temperature);
      return std::log(sum);
    };
    std::vector<double> soft, distilled, z;
    for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
      const double l = lse(xs, row, 1), l3 = lse(xs, row, 3), lt = lse(ts, row, 3);
      double a = 0, b = 0;
      for (size_t i = row * n; i < (row + 1) * n; ++i) {
        a += ps[i] * (l - xs[i]);
        b += 9 * std::exp(ts[i] / 3 - lt) * ((ts[i] / 3 - lt) - (xs[i] / 3 - l3));
      }
      soft.push_back(a);
      distilled.push_back(b);
      z.push_back(l * l);
    }
    const int before = thread_count();
    std::vector<std::vector<double>> results;
    for (const int threads : {1, 2, 3}) {
      set_thread_count(threads);
      std::vector<double> all;
      Tensor leaf = x.detach();
      require_grad(leaf);
      for (const Tensor& losses :
           {soft_cross_entropy(leaf, p, 0, Reduction::none),
            distillation_loss(leaf, t, 3, Reduction::none), z_loss(leaf, Reduction::none)}) {
        const auto more = losses.to_vector<double>();
        all.insert(all.end(), more.begin(), more.end());
        backward(losses, Tensor::full(losses.shape(), 1, losses.dtype()));
      }
      const auto more = grad(leaf).to_vector<double>();
      all.insert(all.end(), more.begin(), more.end());
      results.push_back(all);
    }
    set_thread_count(before);
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
    std::vector<double> expected = soft;
    expected.insert(expected.end(), distilled.begin(), distilled.end());
    expected.insert(expected.end(), z.begin(), z.end());
    // Sums of 1003 terms in 16 runs or more (63 additions), each twice nested; values below 9 times
    // lse < 9.
    const double u = dtype == DType::f64 ? 0x1p-53 : 0x1p-24;
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(results[0][i], expected[i], 2 * 80 * 81 * u) << i;
    }
  }
}

TEST(DistributionLoss, NamesWhatDoesNotFit) {
  const Tensor x = normal({2, 3}, "x");
  EXPECT_THROW(soft_cross_entropy(x, normal({3, 2}, "t")), Error);
  EXPECT_THROW(soft_cross_entropy(x, x, 1.0), Error);
  EXPECT_THROW(distillation_loss(x, x, 0.0), Error);
  Tensor teacher = normal({2, 3}, "t");
  require_grad(teacher);
  EXPECT_THROW(distillation_loss(x, teacher), Error);
  EXPECT_THROW(z_loss(Tensor::scalar(1.0)), Error);
}

}  // namespace
}  // namespace heed
