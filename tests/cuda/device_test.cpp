// What the ops' own cases do not reach: moving tensors, all pairs of dtypes, lists, draws.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/ops/elementwise.h"
#include "core/device_runtime.h"
#include "core/storage_memory.h"
#include "core/views.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/paged.h"
#include "kernels/attention/probabilities.h"
#include "kernels/attention/tile_plan.h"
#include "kernels/copy/copy.h"
#include "kernels/index/sort.h"
#include "kernels/optim/lists.h"
#include "kernels/optim/sgd.h"
#include "kernels/random/dropout.h"
#include "kernels/reduce/logsumexp.h"
#include "tests/core/raises.h"
#include "tests/cuda/device_under_test.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::kDevice;
using testing::normal;

constexpr Device kOther{DeviceType::cuda, 1};

int device_count() { return device_runtime(kDevice, "test").device_count(); }

void expect_same(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.to_string(), b.to_string());
  const auto x = a.to_vector<double>(), y = b.to_vector<double>();
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_TRUE(x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i])))
        << a.to_string() << "[" << i << "]: " << x[i] << " for " << y[i];
  }
}

// The first case that speaks of the other device: what starts it must not start it as the current
// one, whose streams it would have.
TEST(DeviceTensor, AskingADeviceStartsIt) {
  if (device_count() < 2) GTEST_SKIP() << "there is one device";
  allocator::reset_peak(kOther);
  const Tensor x = normal({5}, "x", DType::f32);
  expect_same(square(x.to(kOther)).to(kCpu), square(x));
}

TEST(DeviceTensor, GoesThereAndBackWithItsStrides) {
  const Tensor x = normal({5, 7}, "x", DType::f32);
  const Tensor view = views::transpose(views::slice(x, 1, 1, 6, 2), 0, 1);
  const Tensor there = view.to(kDevice);
  EXPECT_EQ(there.device(), kDevice);
  EXPECT_EQ(there.strides(), view.strides());
  expect_same(there.to(kCpu), view);
  if (device_count() > 1) {
    expect_same(there.to(kOther).to(kCpu), view);
  }
  EXPECT_TRUE(view.to(kCpu).is_same(view));
  EXPECT_EQ(Tensor::full({}, 3.0, DType::f32, kDevice).item(), 3.0);
  EXPECT_EQ(Tensor::zeros({0, 3}, DType::f32, kDevice).to_vector<float>().size(), 0u);
}

// More than staging holds: pieces must not overtake each other, nor what they were written from.
TEST(DeviceTensor, LargeCopiesArriveWhole) {
  const int64_t count = (int64_t{11} << 20) / 4 + 3;
  std::vector<int32_t> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int32_t>(i * 2654435761u);
  const Tensor x = Tensor::from(values, {count}), there = x.to(kDevice);
  kernels::fill(x, 0);
  EXPECT_EQ(there.to_vector<int32_t>(), values);
}

TEST(DeviceTensor, AGradientIsBroughtBack) {
  Tensor x = normal({3, 5}, "x");
  require_grad(x);
  const Tensor y = to(square(to(x, kDevice)), kCpu);
  EXPECT_EQ(y.device(), kCpu);
  backward(y, normal({3, 5}, "dy"));
  EXPECT_EQ(grad(x).device(), kCpu);
  expect_same(grad(x), mul(mul(normal({3, 5}, "dy"), 2.0), x.detach()));
}

TEST(DeviceTensor, StorageMovesUnderAllItsViews) {
  const Tensor x = normal({4, 3}, "x", DType::f32), row = views::select(x, 0, 2);
  const Tensor kept = normal({4, 3}, "x", DType::f32);
  x.storage()->move_to(kDevice);
  EXPECT_EQ(row.device(), kDevice);
  expect_same(row.to(kCpu), views::select(kept, 0, 2));
}

TEST(DeviceTensor, OpsOnSeveralDevicesAreErrors) {
  const Tensor a = normal({2, 3}, "a", DType::f32), b = a.to(kDevice);
  EXPECT_THROW(add(a, b), Error);
  if (device_count() > 1) {
    EXPECT_THROW(add(b, b.to(kOther)), Error);
  }
  const Device none{DeviceType::cuda, device_count()};
  EXPECT_THROW(Tensor::empty({1}, DType::f32, none), RequestError);
  EXPECT_NO_THROW(add(b, Tensor::scalar(2.0f)));
}

TEST(DeviceTensor, WhatHasNoKernelSaysSo) {
  const Tensor x = normal({6}, "x", DType::f32).to(kDevice);
  const auto message = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  const std::string missing = ": no kernel for cuda:0 in this build (see heed doctor)";
  EXPECT_EQ(message([&] { kernels::search_sorted(x, x); }), "search_sorted" + missing);
  EXPECT_EQ(message([&] { kernels::unique_with_counts(x); }), "unique_with_counts" + missing);
  const Tensor q = normal({1, 2, 5, 8}, "q", DType::f32).to(kDevice);
  const std::vector<int32_t> table = {0};
  EXPECT_EQ(message([&] { kernels::attention_logit_range(q, q, {}); }), "attention" + missing);
  EXPECT_EQ(message([&] {
              kernels::attention_paged(q, {q, q, table}, 5, {});
            }),
            "attention" + missing);
}

TEST(DeviceTensor, MemoryIsCounted) {
  const AllocatorStats before = allocator::stats(kDevice);
  {
    const Tensor x = Tensor::empty({1000}, DType::f32, kDevice);
    EXPECT_GE(allocator::stats(kDevice).in_use_bytes - before.in_use_bytes, 4000);
  }
  EXPECT_EQ(allocator::stats(kDevice).in_use_bytes, before.in_use_bytes);
  allocator::reset_peak(kDevice);
  EXPECT_EQ(allocator::stats(kDevice).peak_bytes, before.in_use_bytes);
}

TEST(DeviceCopy, ConvertsBetweenAllDTypes) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const std::vector<double> values = {0.0,     -1.0,         1.5,  -2.5, 255.0,  256.0,
                                      70000.0, 3e9,          -3e9, 1e19, -1e19,  kInf,
                                      -kInf,   std::nan(""), 0.1,  1e-8, 65520.0};
  const Tensor numbers = Tensor::from(values, {17});
  for (const DType from : {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i32, DType::i64,
                           DType::u8, DType::boolean}) {
    const Tensor x = kernels::cast(numbers, from), there = x.to(kDevice);
    for (const DType to : {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i32, DType::i64,
                           DType::u8, DType::boolean}) {
      SCOPED_TRACE(fmt::format("{} to {}", name_of(from), name_of(to)));
      expect_same(kernels::cast(there, to).to(kCpu), kernels::cast(x, to));
    }
  }
}

// Shapes that take each of the ways of copy.cu, and their edges.
TEST(DeviceCopy, MovesAnyLayout) {
  for (const DType dtype : {DType::u8, DType::bf16, DType::f32, DType::f64}) {
    for (const Shape& shape : {Shape{1, 1}, Shape{3, 5}, Shape{33, 31}, Shape{64, 40},
                               Shape{2, 35, 16}, Shape{3, 1, 7}}) {
      SCOPED_TRACE(fmt::format("{}{}", name_of(dtype), shape));
      const Tensor x = kernels::cast(normal(shape, "x"), dtype), there = x.to(kDevice);
      const Tensor turned = views::transpose(x, 0, -1);
      expect_same(kernels::contiguous(views::transpose(there, 0, -1)).to(kCpu),
                  kernels::contiguous(turned));
      const Tensor half = views::slice(x, -1, 0, x.size(-1), 2);
      expect_same(kernels::contiguous(views::slice(there, -1, 0, x.size(-1), 2)).to(kCpu),
                  kernels::contiguous(half));
      Shape wide = shape;
      wide.insert(0, 3);
      expect_same(kernels::contiguous(views::expand(there, wide)).to(kCpu),
                  kernels::contiguous(views::expand(x, wide)));
      const Tensor filled = Tensor::empty(shape, dtype, kDevice);
      kernels::fill(views::transpose(filled, 0, -1), 3.0);
      expect_same(filled.to(kCpu), Tensor::full(shape, 3.0, dtype));
    }
  }
}

TEST(DeviceRandom, DropoutIsTheCpus) {
  const RandomKey key{11, hash_name("drop"), 3};
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const Shape& shape : {Shape{}, Shape{7}, Shape{3, 5}, Shape{2, 3, 17}}) {
      const Tensor x = normal(shape, "x", dtype);
      expect_same(kernels::dropout(x.to(kDevice), 0.3, key, {.first_row = 2}).to(kCpu),
                  kernels::dropout(x, 0.3, key, {.first_row = 2}));
    }
  }
}

// Infinities that meet in one thread's share of a row, and in different threads'.
TEST(DeviceLogSumExp, OfInfinitiesIsOne) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr size_t kColumns = 300;
  std::vector<float> values(4 * kColumns, 0.5f);
  for (const size_t at : {0, 1, 200}) values[at] = kInf;
  std::fill_n(values.begin() + kColumns, kColumns, -kInf);
  values[2 * kColumns + 7] = kInf, values[2 * kColumns + 250] = std::nanf("");
  values[3 * kColumns + 5] = -kInf;
  const Tensor x = Tensor::from(values, {4, kColumns}).to(kDevice);
  const auto lse = kernels::logsumexp_rows(x).to_vector<float>();
  EXPECT_EQ(lse[0], kInf);
  EXPECT_EQ(lse[1], -kInf);
  EXPECT_TRUE(std::isnan(lse[2]));
  EXPECT_NEAR(lse[3], 0.5f + std::log(299.0f), 1e-5f);
}

// What the fused kernels do not take: dropout by the plan's slots, which are not tokens here, and a
// bias that lies on the host.
TEST(DeviceAttention, ComposedDropsTheSamePairsAsTheCpu) {
  AttentionSpec spec{.pattern = AttentionPattern::neighborhood(
                         {{.length = 10, .window = 3}, {.length = 14, .window = 5}}),
                     .score = {.bias = normal({1, 1, 140, 140}, "bias")},
                     .dropout = 0.3,
                     .dropout_key = {4, 5, 6}};
  ASSERT_NE(kernels::attn::tile_plan(spec.pattern, {1, 2, 140, 140})->query_order(), nullptr);
  std::vector<Tensor> in;
  for (const char* name : {"q", "k", "v", "dout"}) in.push_back(normal({1, 2, 140, 8}, name));
  std::vector<std::vector<double>> results;
  for (const Device device : {kCpu, kDevice}) {
    const Tensor q = in[0].to(device), k = in[1].to(device), v = in[2].to(device);
    const kernels::AttentionOutput y = kernels::attention(q, k, v, spec);
    const kernels::AttentionGradients g =
        kernels::attention_backward(in[3].to(device), {}, q, k, v, y, spec, true, true, {}, {});
    std::vector<double> all;
    for (const Tensor& t : {y.out, y.lse, g.dq, g.dk, g.dv}) {
      const auto values = t.to_vector<double>();
      all.insert(all.end(), values.begin(), values.end());
    }
    results.push_back(all);
  }
  ASSERT_EQ(results[0].size(), results[1].size());
  for (size_t i = 0; i < results[0].size(); ++i)
    ASSERT_NEAR(results[1][i], results[0][i], 1e-11) << i;
}

TEST(DeviceSgd, IsTheCpus) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    for (const double momentum : {0.0, 0.9}) {
      for (const bool nesterov : {false, true}) {
        std::vector<Tensor> results;
        for (const Device device : {kCpu, kDevice}) {
          std::vector<kernels::SgdUpdate> updates;
          for (const int64_t n : {1, 37, 16384 + 64}) {
            const auto own = [&](const char* name, DType type) {
              return normal({n}, name, type).to(kDevice).to(device);
            };
            const DType wide = dtype == DType::f64 ? DType::f64 : DType::f32;
            updates.push_back({.parameter = own("p", dtype),
                               .gradient = own("g", dtype),
                               .momentum_buffer = momentum > 0 ? own("b", wide) : Tensor(),
                               .lr = 0.1,
                               .momentum = momentum,
                               .weight_decay = 0.01});
          }
          kernels::sgd(updates, nesterov, 0.5);
          for (const auto& u : updates) {
            results.push_back(u.parameter.to(kCpu));
            if (momentum > 0) results.push_back(u.momentum_buffer.to(kCpu));
          }
        }
        // a fused product and sum in place of two roundings, and the rounding of the result
        const double unit = dtype == DType::f64 ? 0x1p-50 : dtype == DType::f32 ? 0x1p-21 : 0x1p-7;
        for (size_t i = 0; i < results.size() / 2; ++i) {
          const auto want = results[i].to_vector<double>();
          const auto got = results[i + results.size() / 2].to_vector<double>();
          for (size_t k = 0; k < want.size(); ++k) {
            ASSERT_NEAR(got[k], want[k], unit * std::max(1.0, std::abs(want[k])));
          }
        }
      }
    }
  }
}

TEST(DeviceLists, AreTheCpus) {
  std::vector<Tensor> host, device;
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    for (const int64_t n : {1, 7, 16384, 40000}) {
      host.push_back(normal({n}, "list", dtype));
      device.push_back(host.back().to(kDevice));
    }
  }
  host.push_back({});
  device.push_back({});
  const double norm = kernels::global_norm(host);
  EXPECT_NEAR(kernels::global_norm(device), norm, 1e-6 * norm);
  EXPECT_EQ(kernels::first_not_finite(device), -1);
  kernels::clamp_inplace(host, 0.5);
  kernels::clamp_inplace(device, 0.5);
  kernels::scale_inplace(host, 0.75);
  kernels::scale_inplace(device, 0.75);
  for (size_t i = 0; i + 1 < host.size(); ++i) expect_same(device[i].to(kCpu), host[i]);
  kernels::copy(Tensor::scalar(std::nan("")), views::slice(device[6], 0, 16000, 16001));
  EXPECT_EQ(kernels::first_not_finite(device), 6);
}

}  // namespace
}  // namespace heed
