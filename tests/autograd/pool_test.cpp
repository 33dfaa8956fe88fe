#include "autograd/ops/pool.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/ops/compare.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "tests/autograd/testing.h"

namespace heed {
namespace {

using testing::expect_gradients;
using testing::strided;
using testing::uniform;
using Inputs = std::vector<Tensor>;
using Values = std::vector<double>;

struct Case {
  Shape x;
  PoolOptions options;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {{2, 7, 3}, {.kernel = {3}, .stride = {2}, .padding = {1}}},
      {{1, 5, 1}, {.kernel = {2}}},
      {{2, 5, 4, 3}, {.kernel = {3}, .stride = {1}, .padding = {1}}},
      {{1, 7, 6, 5}, {.kernel = {3, 2}, .stride = {2, 3}, .padding = {1, 0}}},
      {{1, 6, 5, 2}, {.kernel = {3}, .stride = {2}, .padding = {1}, .ceil = true}},
      {{1, 6, 5, 2}, {.kernel = {3}, .stride = {2}, .padding = {1}, .count_include_pad = false}},
      {{1, 3, 4, 5, 2}, {.kernel = {2, 3, 2}, .stride = {1, 2, 3}, .padding = {0, 1, 1}}},
      {{0, 4, 4, 3}, {.kernel = {2}}},
  };
  return all;
}

// The pixels of a window along one axis, in the padded coordinates of x.
std::vector<int64_t> window(const PoolOptions& o, int d, int64_t at) {
  const auto pick = [d](const Shape& s) { return s[s.rank() == 1 ? 0 : d]; };
  const int64_t stride = pick(o.stride.rank() == 0 ? o.kernel : o.stride);
  std::vector<int64_t> pixels;
  for (int64_t k = 0; k < pick(o.kernel); ++k) {
    pixels.push_back(at * stride - pick(o.padding) + k * pick(o.dilation));
  }
  return pixels;
}

TEST(PoolOps, Gradients) {
  for (const Case& c : cases()) {
    expect_gradients([&](const Inputs& in) { return max_pool(in[0], c.options); }, {strided(c.x)});
    expect_gradients([&](const Inputs& in) { return avg_pool(in[0], c.options); }, {strided(c.x)});
  }
  const PoolOptions dilated = {.kernel = {2}, .stride = {1}, .padding = {1}, .dilation = {2}};
  expect_gradients([&](const Inputs& in) { return max_pool(in[0], dilated); },
                   {uniform({1, 5, 6, 3})});
  expect_gradients([](const Inputs& in) { return adaptive_avg_pool(in[0], {3}); },
                   {strided({2, 5, 7, 3})});
  expect_gradients([](const Inputs& in) { return adaptive_avg_pool(in[0], {1}); },
                   {uniform({2, 5, 3})});
  expect_gradients(
      [](const Inputs& in) {
        return adaptive_avg_pool(in[0], {4, 2, 3});
      },
      {uniform({1, 3, 4, 5, 2})});
  const Tensor mask = gt(uniform({2, 5}, -1, 1), 0.0);
  expect_gradients([&](const Inputs& in) { return masked_mean(in[0], mask); },
                   {strided({2, 5, 3})});
}

// Windows written out pixel by pixel, over two spatial dimensions.
TEST(PoolOps, EqualsItsDefinition) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    for (const int64_t channels : {1, 5, 37, 64}) {
      for (const Case& c : cases()) {
        if (c.x.rank() != 4 || c.x[0] == 0) continue;
        const Shape shape = {2, c.x[1], c.x[2], channels};
        const Tensor x = kernels::cast(uniform(shape), dtype);
        const auto in = x.to_vector<double>();
        const Tensor largest = max_pool(x, c.options), mean = avg_pool(x, c.options);
        ASSERT_EQ(largest.shape(), mean.shape());
        const auto m = largest.to_vector<double>(), a = mean.to_vector<double>();
        const int64_t height = shape[1], width = shape[2];
        size_t i = 0;
        for (int64_t b = 0; b < 2; ++b) {
          for (int64_t r = 0; r < largest.size(1); ++r) {
            for (int64_t s = 0; s < largest.size(2); ++s) {
              for (int64_t k = 0; k < channels; ++k, ++i) {
                double best = -std::numeric_limits<double>::infinity(), sum = 0;
                int64_t count = 0;
                const auto pad = [&](int d) {
                  return c.options.padding[c.options.padding.rank() == 1 ? 0 : d];
                };
                for (const int64_t y : window(c.options, 0, r)) {
                  for (const int64_t z : window(c.options, 1, s)) {
                    const bool inside = y >= 0 && y < height && z >= 0 && z < width;
                    const bool padded = y < height + pad(0) && z < width + pad(1);
                    if (c.options.count_include_pad ? padded : inside) ++count;
                    if (!inside) continue;
                    const size_t at =
                        static_cast<size_t>(((b * height + y) * width + z) * channels + k);
                    best = std::max(best, in[at]);
                    sum += in[at];
                  }
                }
                ASSERT_EQ(m[i], best);
                // at most nine products and sums in f32 of values below 2, and the rounding
                const double eps = dtype == DType::f64 ? 1e-14 : 9 * 2 * 0x1p-23;
                ASSERT_NEAR(a[i], sum / static_cast<double>(count),
                            eps + (dtype == DType::bf16 ? 2 * 0x1p-8 : 0));
              }
            }
          }
        }
      }
    }
  }
}

TEST(PoolOps, TheFirstOfEqualsHasTheGradient) {
  Tensor x = Tensor::from<double>({1, 3, 3, 2}, {1, 4, 1});
  require_grad(x);
  backward(sum(max_pool(x, {.kernel = {3}, .stride = {1}})));
  EXPECT_EQ(grad(x).to_vector<double>(), (Values{0, 2, 0, 0}));
}

TEST(PoolOps, NaNsAndInfinities) {
  const float nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
  const Tensor x = Tensor::from<float>({-inf, -inf, 1, nan, 2, 3}, {1, 6, 1});
  const auto y = max_pool(x, {.kernel = {2}}).to_vector<float>();
  EXPECT_EQ(y[0], -inf);
  EXPECT_TRUE(std::isnan(y[1]));
  EXPECT_EQ(y[2], 3.0f);
}

TEST(PoolOps, AdaptiveBinsOverlap) {
  const Tensor x = Tensor::from<double>({0, 1, 2, 3, 4}, {1, 5, 1});
  EXPECT_EQ(adaptive_avg_pool(x, {3}).to_vector<double>(), (Values{0.5, 2, 3.5}));
  EXPECT_EQ(adaptive_avg_pool(x, {5}).to_vector<double>(), x.to_vector<double>());
  EXPECT_EQ(adaptive_avg_pool(x, {1}).item(), 2.0);
}

TEST(PoolOps, MaskedMean) {
  const float nan = std::nanf("");
  const Tensor x = Tensor::from<float>({1, 2, nan, nan, 3, 4, 5, 6, 7, 8, 9, 10}, {2, 3, 2});
  const Tensor mask = gt(Tensor::from<float>({1, 0, 1, 0, 0, 0}, {2, 3}), 0.5);
  EXPECT_EQ(masked_mean(x, mask).to_vector<float>(), (std::vector<float>{2, 3, 0, 0}));
  EXPECT_THROW(masked_mean(x, Tensor::zeros({2, 2}, DType::boolean)), Error);
}

TEST(PoolOps, ResultsDoNotDependOnTheThreadCount) {
  Tensor x = kernels::cast(uniform({3, 31, 33, 37}), DType::f32);
  require_grad(x);
  const PoolOptions options = {.kernel = {3}, .stride = {2}, .padding = {1}};
  const int threads = thread_count();
  std::vector<std::vector<float>> results;
  for (const int count : {1, 3}) {
    set_thread_count(count);
    clear_grad(x);
    backward(sum(max_pool(x, options) + avg_pool(x, options)));
    results.push_back(grad(x).to_vector<float>());
  }
  set_thread_count(threads);
  EXPECT_EQ(results[0], results[1]);
}

TEST(PoolOps, WrongRequests) {
  EXPECT_THROW(max_pool(uniform({2, 3}), {}), Error);
  EXPECT_THROW(max_pool(uniform({1, 4, 4, 1}), {.kernel = {2}, .padding = {2}}), Error);
  EXPECT_THROW(max_pool(uniform({1, 4, 4, 1}), {.kernel = {5}}), Error);
  EXPECT_THROW(max_pool(uniform({1, 4, 4, 1}), {.kernel = {2, 2, 2}}), Error);
  EXPECT_THROW(avg_pool(uniform({1, 4, 1}), {.kernel = {2}, .dilation = {2}}), Error);
  EXPECT_THROW(adaptive_avg_pool(uniform({1, 4, 1}), {0}), Error);
}

}  // namespace
}  // namespace heed
