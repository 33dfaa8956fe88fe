// The cross-entropy of shared classes against that of all classes. Ranks take turns: in a first
// round each tells its facts, in a second each hears all.
#include "kernels/loss/shared_cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/loss/linear_cross_entropy.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::normal;

struct Problem {
  Tensor x, weight, bias;
  kernels::Targets targets;
  double smoothing;
};

Problem problem(int64_t rows, int64_t width, int64_t classes, DType dtype, double smoothing) {
  Problem p{normal({rows, width}, "x", dtype),
            normal({classes, width}, "weight", dtype),
            normal({classes}, "bias", dtype),
            {},
            smoothing};
  for (int64_t i = 0; i < rows; ++i) {
    const bool ignored = i % 7 == 3;
    p.targets.ids.push_back(ignored ? kernels::Targets::kIgnored : i * i * 31 % classes);
    p.targets.counted += ignored ? 0 : 1;
  }
  return p;
}

void expect_close(const Tensor& got, const Tensor& want, double tolerance, const char* name) {
  ASSERT_EQ(got.shape(), want.shape()) << name;
  const std::vector<double> a = got.to_vector<double>(), b = want.to_vector<double>();
  double largest = 0.0, difference = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(b[i]));
    difference = std::max(difference, std::abs(a[i] - b[i]));
  }
  EXPECT_LE(difference, tolerance * largest) << name;
}

// Each rank's result, in order.
std::vector<kernels::LinearCrossEntropyResult> shared(
    const Problem& p, int64_t parts, const kernels::LinearCrossEntropyWanted& wanted) {
  const int64_t classes = p.weight.size(0);
  std::vector<std::vector<Tensor>> told(static_cast<size_t>(parts));  // [rank][chunk]
  std::vector<kernels::LinearCrossEntropyResult> results;
  for (const bool hears : {false, true}) {
    results.clear();
    for (int64_t r = 0; r < parts; ++r) {
      const int64_t first = r * classes / parts, end = (r + 1) * classes / parts;
      size_t chunk = 0;
      SharedClasses own{
          .first = first, .classes = classes, .parts = parts, .gather = {}, .sum = {}};
      own.gather = [&](const Tensor& facts) {
        if (!hears) told[static_cast<size_t>(r)].push_back(facts);
        const Tensor all = Tensor::empty({parts, facts.size(0), facts.size(1)}, facts.dtype());
        for (int64_t other = 0; other < parts; ++other) {
          const auto& of = told[static_cast<size_t>(other)];
          kernels::copy(hears ? of.at(chunk) : facts, views::select(all, 0, other));
        }
        ++chunk;
        return all;
      };
      results.push_back(kernels::linear_cross_entropy(p.x, views::slice(p.weight, 0, first, end),
                                                      views::slice(p.bias, 0, first, end),
                                                      p.targets, p.smoothing, wanted, &own));
    }
  }
  return results;
}

void expect_like_whole(const Problem& p, int64_t parts, double tolerance) {
  const kernels::LinearCrossEntropyWanted all{.dx = true, .dweight = true, .dbias = true};
  const auto whole =
      kernels::linear_cross_entropy(p.x, p.weight, p.bias, p.targets, p.smoothing, all);
  Tensor dx = Tensor::zeros(whole.dx.shape(), DType::f64);
  int64_t first = 0;
  for (const auto& own : shared(p, parts, all)) {
    expect_close(own.losses, whole.losses, tolerance, "losses");
    const int64_t end = first + own.dweight.size(0);
    expect_close(own.dweight, views::slice(whole.dweight, 0, first, end), tolerance, "dweight");
    expect_close(own.dbias, views::slice(whole.dbias, 0, first, end), tolerance, "dbias");
    first = end;
    const std::vector<double> share = own.dx.to_vector<double>();
    for (size_t i = 0; i < share.size(); ++i) dx.data<double>()[i] += share[i];
  }
  EXPECT_EQ(first, p.weight.size(0));
  expect_close(dx, whole.dx, tolerance, "dx");
  for (const auto& own : shared(p, parts, {})) {
    expect_close(own.losses, whole.losses, tolerance, "losses alone");
    EXPECT_FALSE(own.dx.defined() || own.dweight.defined() || own.dbias.defined());
  }
}

TEST(SharedCrossEntropy, EqualsThatOfAllClasses) {
  for (const int64_t parts : {1, 2, 3, 5}) {
    for (const int64_t classes : {5, 7, 64, 131}) {
      for (const double smoothing : {0.0, 0.2}) {
        expect_like_whole(problem(37, 6, classes, DType::f64, smoothing), parts, 1e-13);
        expect_like_whole(problem(37, 6, classes, DType::f32, smoothing), parts, 2e-6);
      }
    }
  }
}

// A gradient of bf16 in a buffer of its own; one rounding to 8 bits for each of its terms.
TEST(SharedCrossEntropy, TakesHalves) {
  for (const double smoothing : {0.0, 0.2}) {
    expect_like_whole(problem(37, 6, 65, DType::bf16, smoothing), 2, 3 * 0x1p-8);
  }
}

TEST(SharedCrossEntropy, InSeveralChunksOfUnevenParts) {
  const int64_t classes = 40001;
  ASSERT_LT(kernels::linear_cross_entropy_chunk((classes + 1) / 2), 300);
  expect_like_whole(problem(300, 3, classes, DType::f64, 0.1), 2, 1e-12);
}

TEST(SharedCrossEntropy, LargeLogitsOfOneRankDoNotOverflowTheOthers) {
  Problem p = problem(9, 4, 10, DType::f32, 0.1);
  for (int64_t v = 0; v < 5; ++v) p.bias.data<float>()[v] = 1e4f;
  expect_like_whole(p, 2, 1e-6);
  for (int64_t v = 0; v < 5; ++v) p.bias.data<float>()[v] = -1e4f;
  expect_like_whole(p, 2, 1e-6);
}

}  // namespace
}  // namespace heed
