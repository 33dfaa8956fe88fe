// The emulated engines of sm_90a: products of warpgroups from panels in shared memory, copies that
// fill these, barriers; and that they catch what a device punishes.
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/random.h"
#include "core/tensor.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/shared.h"
#include "kernels/cuda/wgmma.h"

namespace heed::kernels::cuda {
namespace {

constexpr Device kDevice{DeviceType::cuda, 0};

std::vector<bfloat16> numbers(size_t n, uint64_t purpose) {
  const RandomStream stream({5, purpose, 0});
  std::vector<bfloat16> x;
  for (size_t i = 0; i < n; ++i) x.emplace_back(2.0f * stream.uniform(i) - 1.0f);
  return x;
}

Tensor on_device(const std::vector<bfloat16>& x, const Shape& shape) {
  return Tensor::from(x, shape).to(kDevice);
}

MappedTensor mapped(const Tensor& t) {  // [rows, columns]
  return {t.raw(), t.size(1), t.size(0), 1, 1, t.stride(0)};
}

// What a test may do wrong.
enum class Wrong { nothing, no_wait_for_copy, no_fence, no_wait_for_product, overwrites, diverges };

struct Panels {
  alignas(1024) std::byte a[64 * kPanelRow], b[2][64 * kPanelRow];
  Barrier full;
};

__device__ Panels& panels() {
  auto* memory = dynamic_shared<std::byte>();
  return *reinterpret_cast<Panels*>(memory + (1024 - shared_address(memory) % 1024) % 1024);
}
constexpr size_t kPanelBytes = sizeof(Panels) + 1024;

// c [64, 8 kFragments] = a [64, 64] b, with b [8 kFragments, 64] along columns or [64, 8
// kFragments] along rows.
template <Depth kDepth, int kFragments, bool kRegisters>
__global__ void product(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                        float* c, Wrong wrong) {
  Panels& shared = panels();
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32;
  if (thread == 0) {
    make_barrier(shared.full, 1);
    barriers_made();
  }
  __syncthreads();
  if (thread == 0) {
    arrive_expecting(shared.full, 3 * 64 * kPanelRow);
    copy_box(shared.a, a, shared.full, 0, 0, 0, 0);
    for (int i = 0; i < 2; ++i) {
      const int column = kDepth == Depth::along_rows ? 64 * i : 0, row = 64 * i - column;
      copy_box(shared.b[i], b, shared.full, column, row, 0, 0);
    }
  }
  if (wrong != Wrong::no_wait_for_copy) wait(shared.full, 0);
  FragmentC d[kFragments];
  for (auto& f : d) f = {1, 1, 1, 1};
  if (wrong != Wrong::no_fence) begin_products();
  for (int k = 0; k < 64; k += 16) {
    const uint64_t of_b = kDepth == Depth::along_rows
                              ? panel_descriptor(shared.b[0] + k * kPanelRow, 64 * kPanelRow)
                              : panel_descriptor(shared.b[0] + 2 * k);
    if constexpr (kRegisters) {
      FragmentA left;
      const int row = thread / 32 * 16 + lane % 16, piece = k / 8 + lane / 16;
      ldmatrix_x4(left.r, shared.a + row * kPanelRow + ((piece ^ row % 8) << 4));
      multiply<kDepth>(d, left, of_b, k > 0);
    } else if (wrong == Wrong::diverges && thread >= 64) {
      multiply<kDepth>(d, panel_descriptor(shared.a + 2 * k), of_b, k > 0);
    } else {
      multiply<kDepth>(d, panel_descriptor(shared.a + 2 * k), of_b, k > 0);
    }
  }
  end_products();
  if (wrong == Wrong::overwrites && thread == 77) shared.b[0][5] = std::byte{1};
  if (wrong == Wrong::no_wait_for_product)
    finished<1>(d);
  else
    finished<0>(d);
  for (int n = 0; n < kFragments; ++n) {
    for (int i = 0; i < 4; ++i) {
      const int row = thread / 32 * 16 + lane / 4 + i / 2 * 8,
                column = 8 * n + lane % 4 * 2 + i % 2;
      c[row * 8 * kFragments + column] = d[n].r[i];
    }
  }
}

// Against the definition. 50 of the rows and 60 of the columns exist: boxes beyond are zeros.
template <Depth kDepth, int kFragments, bool kRegisters>
void expect_product() {
  constexpr int kColumns = 8 * kFragments;
  constexpr bool kRows = kDepth == Depth::along_rows;
  const auto x = numbers(50 * 64, 1), y = numbers(64 * 128, 2);
  const Tensor a = on_device(x, {50, 64}),
               b = on_device(y, kRows ? Shape{64, 128} : Shape{128, 64});
  const Tensor c = Tensor::empty({64, kColumns}, DType::f32, kDevice);
  launch(product<kDepth, kFragments, kRegisters>, 1, kWarpgroup, kPanelBytes, nullptr,
         map_of(mapped(a), 64), map_of(mapped(b), 64), c.data<float>(), Wrong::nothing);
  const auto got = c.to_vector<float>();
  for (size_t m = 0; m < 64; ++m) {
    for (size_t n = 0; n < kColumns; ++n) {
      double want = 0;
      for (size_t k = 0; k < 64 && m < 50; ++k) {
        want += static_cast<double>(float(x[m * 64 + k])) *
                static_cast<double>(float(y[kRows ? k * 128 + n : n * 64 + k]));
      }
      ASSERT_NEAR(got[m * kColumns + n], want, 64 * 0x1p-24 * 64) << m << ", " << n;
    }
  }
}

TEST(Warpgroup, MultipliesPanels) {
  for (const auto order :
       {emulation::Order::ascending, emulation::Order::descending, emulation::Order::shuffled}) {
    emulation::set_order(order);
    expect_product<Depth::along_columns, 8, false>();
    expect_product<Depth::along_rows, 8, false>();
    expect_product<Depth::along_columns, 8, true>();
    expect_product<Depth::along_rows, 8, true>();
    expect_product<Depth::along_rows, 16, true>();
    expect_product<Depth::along_columns, 16, true>();
  }
  emulation::set_order(emulation::Order::ascending);
}

TEST(Warpgroup, WhatADevicePunishesShows) {
  const Tensor a = on_device(numbers(64 * 64, 1), {64, 64}),
               b = on_device(numbers(64 * 128, 2), {128, 64});
  const Tensor c = Tensor::empty({64, 64}, DType::f32, kDevice);
  const auto run = [&](Wrong wrong) {
    launch(product<Depth::along_columns, 8, false>, 1, kWarpgroup, kPanelBytes, nullptr,
           map_of(mapped(a), 64), map_of(mapped(b), 64), c.data<float>(), wrong);
  };
  emulation::set_order(emulation::Order::ascending);
  run(Wrong::nothing);
  EXPECT_FALSE(std::isnan(c.to_vector<float>()[0]));
  const auto message = [&](Wrong wrong) -> std::string {
    try {
      run(wrong);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message(Wrong::no_fence).find("before begin_products"), std::string::npos);
  EXPECT_NE(message(Wrong::no_wait_for_product).find("was not waited for"), std::string::npos);
  EXPECT_NE(message(Wrong::overwrites).find("changed under a product"), std::string::npos);
  EXPECT_NE(message(Wrong::diverges).find("waits at hopper_test.cpp"), std::string::npos);
  // what was not waited for has not come: memory holds what it held, which is no number
  const std::string early = message(Wrong::no_wait_for_copy);
  EXPECT_TRUE(early.find("changed under a product") != std::string::npos ||
              std::isnan(c.to_vector<float>()[0]))
      << early;
}

struct Relay {
  Barrier full, empty;
  int value;
};

// A producer warp and a consumer warp take turns on one place; a phase lacks an arrival where
// wrong.
__global__ void relay(int* out, bool wrong) {
  auto& shared = *dynamic_shared<Relay>();
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    make_barrier(shared.full, 1);
    make_barrier(shared.empty, wrong ? 2 : 1);
    barriers_made();
  }
  __syncthreads();
  for (int i = 0; i < 5; ++i) {
    if (thread == 0) {
      wait(shared.empty, i % 2 ^ 1);
      shared.value = 10 * i;
      arrive(shared.full);
    } else if (thread >= 32) {
      wait(shared.full, i % 2);
      out[i * 32 + thread - 32] = shared.value;
      __syncwarp();
      if (thread == 32) arrive(shared.empty);
    }
  }
}

TEST(Barriers, GoThroughPhases) {
  const Tensor out = Tensor::empty({5, 32}, DType::i32, kDevice);
  for (const auto order :
       {emulation::Order::ascending, emulation::Order::descending, emulation::Order::shuffled}) {
    emulation::set_order(order);
    launch(relay, 1, 64, sizeof(Relay), nullptr, out.data<int32_t>(), false);
    const auto got = out.to_vector<int32_t>();
    for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], static_cast<int>(i / 32) * 10);
  }
  emulation::set_order(emulation::Order::ascending);
  EXPECT_THROW(launch(relay, 1, 64, sizeof(Relay), nullptr, out.data<int32_t>(), true), Error);
}

// Two warps alternate, as often as each says.
__global__ void alternate(int* out, int* place, bool wrong) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  if (warp == 1) pass(1, 64);
  for (int i = 0; i < (wrong && warp == 1 ? 1 : 3); ++i) {
    meet(1 + warp, 64);
    if (threadIdx.x % 32 == 0) out[(*place)++] = warp;
    __syncwarp();
    pass(2 - warp, 64);
  }
}

TEST(Barriers, OfSomeWarpsLetThemAlternate) {
  const Tensor out = Tensor::zeros({6}, DType::i32, kDevice);
  for (const auto order :
       {emulation::Order::ascending, emulation::Order::descending, emulation::Order::shuffled}) {
    emulation::set_order(order);
    const Tensor place = Tensor::zeros({1}, DType::i32, kDevice);
    launch(alternate, 1, 64, 0, nullptr, out.data<int32_t>(), place.data<int32_t>(), false);
    EXPECT_EQ(out.to_vector<int32_t>(), (std::vector<int32_t>{0, 1, 0, 1, 0, 1}));
  }
  emulation::set_order(emulation::Order::ascending);
  const Tensor place = Tensor::zeros({1}, DType::i32, kDevice);
  EXPECT_THROW(
      launch(alternate, 1, 64, 0, nullptr, out.data<int32_t>(), place.data<int32_t>(), true),
      Error);
}

}  // namespace
}  // namespace heed::kernels::cuda
