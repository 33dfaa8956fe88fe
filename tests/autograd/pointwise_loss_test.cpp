#include "autograd/ops/pointwise_loss.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/gradcheck.h"
#include "core/parallel.h"
#include "tests/autograd/testing.h"

namespace heed {
namespace {

using testing::odd_shapes;
using testing::strided;
using testing::uniform;

const Reduction kReductions[] = {Reduction::mean, Reduction::sum, Reduction::none};

// Inputs away from the kinks at |x - t| = 0, 0.7 and 1: every difference is one of 0.25 ... 1.5.
Tensor near(const Tensor& x, const Shape& shape) {
  const double steps[] = {0.25, -0.5, 1.5, -1.25};
  std::vector<double> values = x.to_vector<double>();
  for (size_t i = 0; i < values.size(); ++i) values[i] += steps[i % 4];
  return Tensor::from(values, shape);
}

TEST(PointwiseLoss, Gradients) {
  for (const Shape& shape : odd_shapes()) {
    const Tensor x = strided(shape, -2, 2, 1), close = near(x, shape);
    const Tensor logit = uniform(shape, -3, 3, 2), p = uniform(shape, 0.05, 0.95, 3),
                 q = uniform(shape, 0.05, 0.95, 4), log_p = uniform(shape, -3, 0, 5);
    const Tensor weight = uniform(shape, 0.5, 2, 6), pos = uniform({}, 0.5, 3, 7);
    for (const Reduction r : kReductions) {
      if (shape.numel() == 0 && r == Reduction::mean) continue;
      const auto check = [](auto op, const Tensor& a, const Tensor& b) {
        EXPECT_EQ(
            gradcheck([&](const std::vector<Tensor>& in) { return op(in[0], in[1]); }, {a, b}), "");
      };
      using T = const Tensor&;
      check([r](T a, T b) { return mse_loss(a, b, r); }, x, close);
      check([r](T a, T b) { return l1_loss(a, b, r); }, x, close);
      check([r](T a, T b) { return huber_loss(a, b, 0.7, r); }, x, close);
      check([r](T a, T b) { return smooth_l1_loss(a, b, 0.7, r); }, x, close);
      check([r](T a, T b) { return smooth_l1_loss(a, b, 0.0, r); }, x, close);
      check([r](T a, T b) { return bce_with_logits(a, b, {.reduction = r}); }, logit, p);
      check([&](T a, T b) { return bce_with_logits(a, b, {weight, pos, r}); }, logit, p);
      check([&](T a, T b) { return binary_cross_entropy(a, b, {weight, {}, r}); }, q, p);
      check([r](T a, T b) { return kl_div(a, b, false, r); }, log_p, p);
      check([r](T a, T b) { return kl_div(a, b, true, r); }, log_p, logit);
    }
  }
}

// Formulas in f64, the plain way.
struct Formula {
  const char* name;
  Tensor (*loss)(const Tensor&, const Tensor&, Reduction);
  double (*value)(double x, double t);
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

const Formula kFormulas[] = {
    {"mse", [](const Tensor& x, const Tensor& t, Reduction r) { return mse_loss(x, t, r); },
     [](double x, double t) { return (x - t) * (x - t); }},
    {"l1", [](const Tensor& x, const Tensor& t, Reduction r) { return l1_loss(x, t, r); },
     [](double x, double t) { return std::abs(x - t); }},
    {"huber",
     [](const Tensor& x, const Tensor& t, Reduction r) { return huber_loss(x, t, 0.25, r); },
     [](double x, double t) {
       const double e = std::abs(x - t);
       return e < 0.25 ? e * e / 2 : 0.25 * (e - 0.125);
     }},
    {"smooth_l1",
     [](const Tensor& x, const Tensor& t, Reduction r) { return smooth_l1_loss(x, t, 0.25, r); },
     [](double x, double t) {
       const double e = std::abs(x - t);
       return e < 0.25 ? 2 * e * e : e - 0.125;
     }},
    {"bce_with_logits",
     [](const Tensor& x, const Tensor& t, Reduction r) {
       return bce_with_logits(x, t, {.pos_weight = Tensor::full({}, 3), .reduction = r});
     },
     [](double x, double t) {
       return -(3 * t * std::log(sigmoid(x)) + (1 - t) * std::log(sigmoid(-x)));
     }},
    {"bce",
     [](const Tensor& x, const Tensor& t, Reduction r) {
       return binary_cross_entropy(x, t, {.reduction = r});
     },
     [](double x, double t) { return -(t * std::log(x) + (1 - t) * std::log(1 - x)); }},
    {"kl_div", [](const Tensor& x, const Tensor& t, Reduction r) { return kl_div(x, t, false, r); },
     [](double x, double t) { return t * (std::log(t) - x); }},
    {"kl_div_log",
     [](const Tensor& x, const Tensor& t, Reduction r) { return kl_div(x, t, true, r); },
     [](double x, double t) { return std::exp(t) * (t - x); }},
};

TEST(PointwiseLoss, EqualsTheF64FormulaOnAnyThreadCount) {
  for (const Formula& f : kFormulas) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
      const Shape shape{9, 2003};
      const auto as = [dtype](const Tensor& t) {
        return dtype == DType::f64   ? t
               : dtype == DType::f32 ? Tensor::from(t.to_vector<float>(), t.shape())
                                     : Tensor::from(t.to_vector<bfloat16>(), t.shape());
      };
      const Tensor x = as(uniform(shape, 0.05, 0.95, 1)), t = as(uniform(shape, 0.05, 0.95, 2));
      const auto xs = x.to_vector<double>(), ts = t.to_vector<double>();
      const auto each = f.loss(x, t, Reduction::none);
      EXPECT_EQ(each.dtype(), dtype == DType::f64 ? DType::f64 : DType::f32);
      const auto losses = each.to_vector<double>();
      // A dozen roundings of terms below 8, on inputs taken as they are.
      const double tolerance = 12 * 8 * (dtype == DType::f64 ? 0x1p-53 : 0x1p-24);
      double expected = 0;
      for (size_t i = 0; i < xs.size(); ++i) {
        const double value = f.value(xs[i], ts[i]);
        ASSERT_NEAR(losses[i], value, tolerance) << f.name << " " << xs[i] << " " << ts[i];
        expected += value;
      }
      const int before = thread_count();
      std::vector<double> sums;
      std::vector<std::vector<double>> gradients;
      for (const int threads : {1, 2, 3}) {
        set_thread_count(threads);
        Tensor leaf = x.detach();
        require_grad(leaf);
        const Tensor total = f.loss(leaf, t, Reduction::sum);
        backward(total);
        sums.push_back(total.item());
        gradients.push_back(grad(leaf).to_vector<double>());
      }
      set_thread_count(before);
      EXPECT_EQ(sums[0], sums[1]);
      EXPECT_EQ(sums[0], sums[2]);
      EXPECT_EQ(gradients[0], gradients[1]);
      EXPECT_EQ(gradients[0], gradients[2]);
      // 8192 / 16 additions one after another in a piece, of values below 8 on average 1
      const double n = double(xs.size());
      EXPECT_NEAR(sums[0], expected, n * tolerance + n * 512 * tolerance / 96) << f.name;
      EXPECT_NEAR(f.loss(x, t, Reduction::mean).item(), expected / n, 600 * tolerance) << f.name;
    }
  }
}

TEST(BceWithLogits, LargeLogitsStayFinite) {
  Tensor x = Tensor::from<float>({1000, -1000, 1000, -1000, 40}, {5});
  const Tensor t = Tensor::from<float>({1, 0, 0, 1, 1}, {5});
  require_grad(x);
  const Tensor losses = bce_with_logits(x, t, {.reduction = Reduction::none});
  EXPECT_EQ(losses.to_vector<float>()[0], 0.f);
  EXPECT_EQ(losses.to_vector<float>()[2], 1000.f);
  EXPECT_EQ(losses.to_vector<float>()[3], 1000.f);
  // log1p keeps what 1 + e^-40 would lose
  EXPECT_NEAR(losses.to_vector<float>()[4] / std::exp(-40.0), 1, 1e-5);
  backward(losses, Tensor::full({5}, 1));
  EXPECT_EQ(grad(x).to_vector<float>()[2], 1.f);
  EXPECT_EQ(grad(x).to_vector<float>()[3], -1.f);
}

TEST(BinaryCrossEntropy, LogarithmsAreBounded) {
  const Tensor x = Tensor::from<float>({0, 1, 0, 1}, {4}),
               t = Tensor::from<float>({1, 0, 0, 1}, {4});
  EXPECT_EQ(binary_cross_entropy(x, t, {.reduction = Reduction::none}).to_vector<float>(),
            (std::vector<float>{100, 100, 0, 0}));
  EXPECT_THROW(binary_cross_entropy(Tensor::from<float>({1.5f}, {1}), Tensor::zeros({1})), Error);
}

TEST(KlDiv, TargetsOfZeroCostNothing) {
  const Tensor x = Tensor::from<float>({-1, -2}, {2}), t = Tensor::from<float>({0, 1}, {2});
  EXPECT_EQ(kl_div(x, t, false, Reduction::sum).item(), 2.0);
}

TEST(PointwiseLoss, NamesWhatDoesNotFit) {
  const Tensor x = uniform({2, 3});
  EXPECT_THROW(mse_loss(x, uniform({3, 2})), Error);
  EXPECT_THROW(mse_loss(Tensor::zeros({0}), Tensor::zeros({0})), Error);
  EXPECT_THROW(huber_loss(x, x, 0.0), Error);
  EXPECT_THROW(bce_with_logits(x, x, {.weight = uniform({2, 2})}), Error);
  Tensor weight = uniform({3});
  require_grad(weight);
  EXPECT_THROW(bce_with_logits(x, x, {.weight = weight}), Error);
}

TEST(PointwiseLoss, MixedTypesMeetInTheWider) {
  Tensor x = Tensor::from(uniform({33}).to_vector<bfloat16>(), {33});
  const Tensor t = Tensor::from(uniform({33}, -2, 2, 9).to_vector<float>(), {33});
  require_grad(x);
  const Tensor loss = mse_loss(x, t);
  backward(loss);
  EXPECT_EQ(grad(x).dtype(), DType::bf16);
  double expected = 0;
  const auto xs = x.to_vector<double>(), ts = t.to_vector<double>();
  for (size_t i = 0; i < xs.size(); ++i) expected += (xs[i] - ts[i]) * (xs[i] - ts[i]) / 33;
  EXPECT_NEAR(loss.item(), expected, 16 * 16 * 0x1p-24);
}

}  // namespace
}  // namespace heed
