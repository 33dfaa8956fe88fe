// Device forms of functions that no differentiable op's own case reaches, and shapes beyond one
// chunk or tile of those that do: results against the CPU's, the same bits in every way.
#include <gtest/gtest.h>

#include "autograd/gradcheck.h"
#include "autograd/ops/fft.h"
#include "autograd/ops/linear_attention.h"
#include "core/views.h"
#include "kernels/attention/merge.h"
#include "kernels/copy/copy.h"
#include "kernels/loss/shared_cross_entropy.h"
#include "kernels/optim/adafactor.h"
#include "kernels/optim/units.h"
#include "kernels/random/dropout.h"
#include "kernels/random/sampling.h"
#include "tests/cuda/device_under_test.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::kDevice;
using testing::normal;
using Tensors = std::vector<Tensor>;

void expect_near(const Tensor& got, const Tensor& want, double tolerance) {
  ASSERT_EQ(got.to_string(), want.to_string());
  const auto a = got.to_vector<double>(), b = want.to_vector<double>();
  double largest = 0;
  for (const double value : b) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < b.size(); ++i) {
    ASSERT_NEAR(a[i], b[i], tolerance * largest) << want.to_string() << ", element " << i;
  }
}

// What fn makes of (or does to) tensors, on the CPU and on the device; sums in another order.
void expect_as_on_cpu(const std::function<Tensors(const Tensors&)>& fn, const Tensors& given,
                      double tolerance) {
  const auto run = [&](Device device) {
    Tensors own;
    for (const Tensor& x : given) {
      const Tensor copy = Tensor::empty(x.shape(), x.dtype());
      kernels::copy(x, copy);
      own.push_back(copy.to(device));
    }
    Tensors results = fn(own);
    for (Tensor& x : results) x = x.to(kCpu);
    return results;
  };
  const Tensors want = run(kCpu);
  Tensors first;
  for (int way = 0; way < testing::ways_to_run(); ++way) {
    testing::run_in_way(way);
    const Tensors got = run(kDevice);
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      SCOPED_TRACE(fmt::format("way {}, result {}", way, i));
      expect_near(got[i], want[i], tolerance);
      if (way > 0) expect_near(got[i], first[i], 0.0);
    }
    if (way == 0) first = got;
  }
}

double tolerance_of(DType dtype) {
  if (dtype == DType::f64) return 0x1p-43;
  return dtype == DType::f32 ? 0x1p-14 : 0x1p-6;
}

constexpr DType kFloating[] = {DType::f64, DType::f32, DType::bf16};

TEST(DeviceKernels, LinearAttentionBeyondAChunkAndATile) {
  constexpr int64_t kTokens = 130, kKeys = 70, kValues = 66;
  const auto rows = [](int64_t width, const char* name) {
    return normal({1, 2, kTokens, width}, name);
  };
  const auto decay = [](const Shape& shape) { return Tensor::full(shape, -0.05, DType::f64); };
  const Tensor state = normal({1, 2, kKeys, kValues}, "state");
  for (const Tensor& g : {decay({1, 2, kTokens}), decay({1, 2, kTokens, kKeys})}) {
    EXPECT_EQ(gradcheck(
                  [](const Tensors& in) -> Tensors {
                    const auto y = causal_linear_attention(in[0], in[1], in[2], {in[3], in[4]});
                    return {y.out, y.state};
                  },
                  {rows(kKeys, "q"), rows(kKeys, "k"), rows(kValues, "v"), g, state}),
              "");
  }
}

TEST(DeviceKernels, FftOverMoreAxesThanOneCallTakes) {
  const Tensor x = normal({2, 3, 4, 5, 3}, "x"), pairs = normal({2, 3, 4, 3, 2}, "pairs");
  EXPECT_EQ(gradcheck([](const Tensors& in) { return rfftn(in[0], {0, 1, 2, 3}); }, {x}), "");
  EXPECT_EQ(gradcheck([](const Tensors& in) { return fftn(in[0], {3, 1, 0, 2}); }, {pairs}), "");
}

TEST(DeviceKernels, DropoutOfAPartIsTheCpus) {
  const RandomKey key{11, hash_name("part"), 3};
  for (const DType dtype : kFloating) {
    const Tensor x = normal({2, 3, 5, 7}, "x", dtype);
    for (const DrawPlace& place :
         {DrawPlace{.first_row = 1, .tokens = {4, 0, 9}},
          DrawPlace{.first_row = 0, .tokens = {}, .first_column = 14, .columns = 21}}) {
      expect_as_on_cpu(
          [&](const Tensors& in) { return Tensors{kernels::dropout(in[0], 0.3, key, place)}; }, {x},
          0.0);
    }
  }
}

TEST(DeviceKernels, AdafactorIsTheCpus) {
  for (const DType dtype : kFloating) {
    const DType wide = dtype == DType::f64 ? DType::f64 : DType::f32;
    const auto moment = [&](const Shape& shape) { return Tensor::full(shape, 0.25, wide); };
    const auto check = [&](const Shape& shape, const Tensors& moments) {
      Tensors all = {normal(shape, "p", dtype), normal(shape, "g", dtype)};
      all.insert(all.end(), moments.begin(), moments.end());
      expect_as_on_cpu(
          [](const Tensors& in) {
            const bool matrix = in.size() == 4;
            for (int64_t step = 1; step <= 2; ++step) {
              kernels::adafactor({.parameter = in[0],
                                  .gradient = in[1],
                                  .rows = matrix ? in[2] : Tensor(),
                                  .cols = matrix ? in[3] : Tensor(),
                                  .moment = matrix ? Tensor() : in[2],
                                  .lr = 0.01,
                                  .weight_decay = 0.1},
                                 step, 0.5);
            }
            return in;
          },
          all, tolerance_of(dtype));
    };
    check({5, 300}, {moment({5}), moment({300})});
    check({3, 2, 7}, {moment({3}), moment({14})});
    check({37}, {moment({37})});
    check(Shape{}, {moment(Shape{})});
  }
}

TEST(DeviceKernels, ClippedUnitsAreTheCpus) {
  for (const DType dtype : kFloating) {
    for (const Shape& shape : {Shape{5, 300}, Shape{3, 2, 7}, Shape{37}}) {
      expect_as_on_cpu(
          [](const Tensors& in) {
            kernels::clip_units(in[0], in[1], 0.5, 1e-3);
            return Tensors{in[1]};
          },
          {normal(shape, "p", dtype), normal(shape, "g", dtype)}, tolerance_of(dtype));
    }
  }
}

TEST(DeviceKernels, PartsAreMergedIntoAWhole) {
  for (const DType dtype : kFloating) {
    const DType wide = dtype == DType::f64 ? DType::f64 : DType::f32;
    const Shape rows{2, 3, 5, 70}, lse{2, 3, 5};
    for (const std::vector<double>& shift :
         {std::vector<double>{}, std::vector<double>{0.5, -1.0, 2.0}}) {
      expect_as_on_cpu(
          [&](const Tensors& in) {
            kernels::merge_into({in[0], in[1]}, {in[2], in[3]}, shift);
            return Tensors{in[0], in[1]};
          },
          {normal(rows, "out", wide), normal(lse, "lse", wide), normal(rows, "part", dtype),
           normal(lse, "part lse", wide)},
          tolerance_of(wide));
    }
  }
}

TEST(DeviceKernels, DrawsAreTheCpus) {
  const Tensor logits = normal({5, 37}, "logits", DType::f32);
  const RandomKey key{3, hash_name("draws"), 1};
  expect_as_on_cpu(
      [&](const Tensors& in) {
        return Tensors{kernels::categorical(in[0], key, 1.0), kernels::categorical(in[0], key, 0.0),
                       kernels::categorical_without_replacement(in[0], 4, key)};
      },
      {logits}, 0.0);
}

// Alone, this rank has all classes.
TEST(DeviceKernels, SharedCrossEntropyIsTheCpus) {
  constexpr int64_t kRows = 5, kClasses = 300;
  SharedClasses shared{.first = 0, .classes = kClasses, .parts = 1, .gather = {}, .sum = {}};
  shared.gather = [](const Tensor& x) { return views::unsqueeze(x, 0); };
  shared.sum = [](double value) { return value; };
  const kernels::Targets targets{{7, 299, kernels::Targets::kIgnored, 0, 31}, 4};
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const DType gradient : {dtype, DType::bf16}) {
      if (gradient == DType::bf16 && dtype == DType::f64) continue;
      expect_as_on_cpu(
          [&](const Tensors& in) {
            const Tensor losses = Tensor::zeros({kRows}, dtype, in[0].device());
            const Tensor dx =
                gradient == dtype ? in[0] : Tensor::empty(in[0].shape(), gradient, in[0].device());
            kernels::shared_cross_entropy_in_place(in[0], targets, 0, 0.1, 0.5, shared, losses, dx);
            return Tensors{losses, dx};
          },
          {normal({kRows, kClasses}, "logits", dtype)}, tolerance_of(gradient));
    }
  }
}

}  // namespace
}  // namespace heed
