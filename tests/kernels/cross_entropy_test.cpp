#include "kernels/loss/cross_entropy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "core/views.h"
#include "kernels/loss/linear_cross_entropy.h"
#include "tests/samples.h"

namespace heed::kernels {
namespace {

using testing::integers;
using testing::normal;

struct Reference {
  std::vector<double> losses, gradient;
};

Reference reference(const Tensor& logits, const Targets& targets, double smoothing, double scale) {
  const size_t classes = static_cast<size_t>(logits.size(1));
  const auto x = logits.to_vector<double>();
  Reference r{std::vector<double>(targets.ids.size()), std::vector<double>(x.size())};
  for (size_t row = 0; row < targets.ids.size(); ++row) {
    if (targets.ids[row] < 0) continue;
    const double* l = x.data() + row * classes;
    const double largest = *std::max_element(l, l + classes);
    double sum = 0;
    for (size_t v = 0; v < classes; ++v) sum += std::exp(l[v] - largest);
    const double lse = largest + std::log(sum);
    for (size_t v = 0; v < classes; ++v) {
      const double wanted =
          smoothing / double(classes) + (int64_t(v) == targets.ids[row] ? 1 - smoothing : 0.0);
      r.losses[row] -= wanted * (l[v] - lse);
      r.gradient[row * classes + v] = scale * (std::exp(l[v] - lse) - wanted);
    }
  }
  return r;
}

void expect_near(const Tensor& actual, const std::vector<double>& expected, double tolerance) {
  const auto values = actual.to_vector<double>();
  ASSERT_EQ(values.size(), expected.size());
  const double rounding = actual.dtype() == DType::bf16 ? 0x1p-8 : 0;
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_NEAR(values[i], expected[i], tolerance + rounding * std::abs(expected[i])) << i;
  }
}

Targets some_targets(int64_t rows, int64_t classes) {
  const Tensor targets = integers({rows}, classes, "t");
  for (int64_t row = 2; row < rows; row += 5) targets.data<int64_t>()[row] = -100;
  return read_targets(targets, classes, -100, "cross_entropy");
}

TEST(CrossEntropy, LossesAndGradientsEqualTheF64Formula) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    for (const int64_t classes : {1, 2, 65, 257, 5003}) {
      for (const double smoothing : {0.0, 0.1}) {
        const int64_t rows = 11;
        const Tensor logits = normal({rows, classes}, "x", dtype);
        const Targets targets = some_targets(rows, classes);
        EXPECT_EQ(targets.counted, 9);
        const DType sums = dtype == DType::f64 ? DType::f64 : DType::f32;
        const Reference expected = reference(logits, targets, smoothing, 0.25);
        // Sums of V terms in at least 16 running sums, exponentials of 2 ulp; lse and the target's
        // logit are at most 16.
        const double u = sums == DType::f64 ? 0x1p-53 : 0x1p-24;
        const double tolerance = u * (64.0 + double(classes) / 16);

        const Tensor losses = Tensor::empty({rows}, sums), lse = Tensor::empty({rows}, sums);
        cross_entropy(logits, targets, smoothing, losses, lse);
        expect_near(losses, expected.losses, tolerance);
        expect_near(cross_entropy_backward(logits, targets, smoothing, lse, 0.25),
                    expected.gradient, tolerance);

        if (dtype == DType::bf16) continue;
        for (const DType to : {dtype, DType::bf16}) {
          if (to != dtype && dtype == DType::f64) continue;
          const Tensor buffer = normal({rows, classes}, "x", dtype);
          const Tensor gradient = to == dtype ? buffer : Tensor::empty(buffer.shape(), to);
          cross_entropy_in_place(buffer, targets, 0, smoothing, 0.25, losses, gradient);
          expect_near(losses, expected.losses, tolerance);
          expect_near(gradient, expected.gradient, tolerance);
        }
      }
    }
  }
}

// Several chunks, the last one short.
TEST(LinearCrossEntropy, ChunksEqualOneProduct) {
  const int64_t classes = 20011, width = 3, rows = 2 * linear_cross_entropy_chunk(classes) + 37;
  const Tensor x = normal({rows, width}, "x"), weight = normal({classes, width}, "w");
  const Targets targets = some_targets(rows, classes);
  const LinearCrossEntropyResult all = linear_cross_entropy(
      x, weight, {}, targets, 0.0, {.dx = true, .dweight = true, .dbias = false});
  EXPECT_FALSE(all.dbias.defined());

  std::vector<double> dweight(static_cast<size_t>(classes * width));
  const double scale = 1.0 / double(targets.counted);
  for (int64_t row = 0; row < rows; row += 61) {  // a sample of rows
    const Tensor logits = Tensor::zeros({1, classes}, DType::f64);
    double* l = logits.data<double>();
    const double* xr = x.data<double>() + row * width;
    for (int64_t v = 0; v < classes; ++v) {
      for (int64_t c = 0; c < width; ++c) l[v] += xr[c] * weight.data<double>()[v * width + c];
    }
    const Targets one{{targets.ids[static_cast<size_t>(row)]}, 1};
    const Reference r = reference(logits, one, 0.0, scale);
    EXPECT_NEAR(all.losses.data<double>()[row], r.losses[0], 1e-12);
    for (int64_t c = 0; c < width; ++c) {
      double dx = 0;
      for (int64_t v = 0; v < classes; ++v) {
        dx += r.gradient[static_cast<size_t>(v)] * weight.data<double>()[v * width + c];
      }
      EXPECT_NEAR(all.dx.data<double>()[row * width + c], dx, 1e-15);
    }
  }
  // Each row's gradient sums to zero over the classes, so dweight's column sums vanish.
  for (int64_t c = 0; c < width; ++c) {
    double sum = 0, magnitude = 0;
    for (int64_t v = 0; v < classes; ++v) {
      sum += all.dweight.data<double>()[v * width + c];
      magnitude += std::abs(all.dweight.data<double>()[v * width + c]);
    }
    EXPECT_GT(magnitude, 0.1);
    EXPECT_NEAR(sum, 0.0, 1e-12);
  }
}

TEST(LinearCrossEntropy, Bf16ProductsKeepF32WeightsAndGradients) {
  const int64_t classes = 67, width = 24, rows = 19;
  const Tensor x = normal({rows, width}, "x", DType::bf16);
  const Tensor weight = normal({classes, width}, "w", DType::f32);
  const Tensor bias = normal({classes}, "b", DType::f32);
  const Targets targets = some_targets(rows, classes);
  const auto r = linear_cross_entropy(x, weight, bias, targets, 0.1,
                                      {.dx = true, .dweight = true, .dbias = true});
  EXPECT_EQ(r.dx.dtype(), DType::bf16);
  EXPECT_EQ(r.dweight.dtype(), DType::f32);
  EXPECT_EQ(r.dbias.dtype(), DType::f32);

  // The same in f64 from the rounded operands.
  const Tensor w16 = Tensor::from(weight.to_vector<bfloat16>(), weight.shape());
  const auto e = linear_cross_entropy(Tensor::from(x.to_vector<double>(), x.shape()),
                                      Tensor::from(w16.to_vector<double>(), w16.shape()),
                                      Tensor::from(bias.to_vector<double>(), bias.shape()), targets,
                                      0.1, {.dx = true, .dweight = true, .dbias = true});
  const double logits = 64 * 24 * 0x1p-24;  // f32 sums of 24 products of at most 16 each, twice
  expect_near(r.losses, e.losses.to_vector<double>(), logits);
  // The logits' gradient is rounded to bf16: half of 2^-8 of elements of at most `scale`; then sums
  // over classes of weights of at most 4, or over rows of inputs of at most 4.
  const double scale = 1.0 / double(targets.counted), rounding = 0x1p-9 * scale;
  expect_near(r.dx, e.dx.to_vector<double>(), 4 * 2 * rounding + 4 * logits * scale);
  expect_near(r.dweight, e.dweight.to_vector<double>(), 4 * rounding * rows);
  expect_near(r.dbias, e.dbias.to_vector<double>(), rounding * rows);
}

TEST(LinearCrossEntropy, DoesNotDependOnTheThreadCount) {
  const int64_t classes = 3001, width = 48, rows = 700;
  const Tensor x = normal({rows, width}, "x", DType::f32),
               weight = normal({classes, width}, "w", DType::f32);
  const Targets targets = some_targets(rows, classes);
  const int before = thread_count();
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    const auto r = linear_cross_entropy(x, weight, {}, targets, 0.0, {.dx = true, .dweight = true});
    std::vector<float> all = r.losses.to_vector<float>();
    for (const Tensor& t : {r.dx, r.dweight}) {
      const auto more = t.to_vector<float>();
      all.insert(all.end(), more.begin(), more.end());
    }
    results.push_back(all);
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

}  // namespace
}  // namespace heed::kernels
