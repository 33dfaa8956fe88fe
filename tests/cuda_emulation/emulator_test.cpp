// The emulator catches what a device punishes.
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/tensor.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.h"
#include "tests/core/raises.h"

namespace heed::kernels::cuda {
namespace {

constexpr Device kDevice{DeviceType::cuda, 0};

struct Row {
  float x[64];
};

__global__ void reverse(const float* from, float* to, bool with_barrier) {
  Row& row = shared<Row>();
  const unsigned i = threadIdx.x;
  row.x[i] = from[i];
  if (with_barrier) __syncthreads();
  to[i] = row.x[63 - i];
}

std::vector<float> reversed(bool with_barrier, emulation::Order order) {
  std::vector<float> values(64);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const Tensor from = Tensor::from(values, {64}).to(kDevice);
  const Tensor to = Tensor::empty({64}, DType::f32, kDevice);
  emulation::set_order(order);
  launch(reverse, 1, 64, 0, nullptr, from.data<float>(), to.data<float>(), with_barrier);
  return to.to_vector<float>();
}

TEST(Emulator, ThreadsMeetAtABarrier) {
  for (const auto order :
       {emulation::Order::ascending, emulation::Order::descending, emulation::Order::shuffled}) {
    const auto values = reversed(true, order);
    for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], static_cast<float>(63 - i));
  }
}

TEST(Emulator, AMissingBarrierShows) {
  // the first half reads what nobody has written: poison; in another order, another half
  EXPECT_TRUE(std::isnan(reversed(false, emulation::Order::ascending)[0]));
  EXPECT_TRUE(std::isnan(reversed(false, emulation::Order::descending)[63]));
  EXPECT_EQ(reversed(false, emulation::Order::ascending)[63], 0.0f);
}

// The scratch is written again while other warps may still read it.
__global__ void runs_ahead(float* out) {
  Row& row = shared<Row>();
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  if (lane == 0) row.x[warp] = 1.0f;
  __syncthreads();
  for (int i = 0; i < 3; ++i) __syncwarp();
  out[threadIdx.x] = row.x[0] + row.x[1];
  __syncwarp();
  if (lane == 0) row.x[warp] = 100.0f;
}

TEST(Emulator, AWarpThatRunsAheadShows) {
  const Tensor out = Tensor::empty({64}, DType::f32, kDevice);
  for (const auto order : {emulation::Order::ascending, emulation::Order::descending}) {
    emulation::set_order(order);
    launch(runs_ahead, 1, 64, 0, nullptr, out.data<float>());
    const auto values = out.to_vector<float>();
    const size_t first = order == emulation::Order::ascending ? 0 : 32;
    EXPECT_EQ(values[first], 2.0f);
    EXPECT_EQ(values[32 - first], 101.0f);
  }
}

__global__ void half_waits() {
  if (threadIdx.x < 32) __syncthreads();
}
__global__ void two_barriers() {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}
__global__ void lane_is_missing(float* out) {
  if (threadIdx.x != 3) out[threadIdx.x] = __shfl_sync(0xffffffffu, 1.0f, 0);
}
__global__ void lanes_diverge(float* out) {
  if (threadIdx.x < 16) {
    out[threadIdx.x] = __shfl_sync(0xffffffffu, 1.0f, 0);
  } else {
    out[threadIdx.x] = __shfl_sync(0xffffffffu, 2.0f, 0);
  }
}

TEST(Emulator, DivergenceIsAnError) {
  const Tensor out = Tensor::empty({64}, DType::f32, kDevice);
  emulation::set_order(emulation::Order::ascending);
  EXPECT_THROW(launch(half_waits, 1, 64, 0, nullptr), Error);
  EXPECT_THROW(launch(two_barriers, 1, 64, 0, nullptr), Error);
  EXPECT_THROW(launch(lane_is_missing, 1, 32, 0, nullptr, out.data<float>()), Error);
  EXPECT_THROW(launch(lanes_diverge, 1, 32, 0, nullptr, out.data<float>()), Error);
  try {
    launch(half_waits, 1, 64, 0, nullptr);
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("emulator_test.cpp"), std::string::npos)
        << error.what();
  }
}

__global__ void warp_functions(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  out[lane] = __shfl_xor_sync(0xffffffffu, lane, 5);
  out[32 + lane] = __shfl_down_sync(0xffffffffu, lane, 3);
  out[64 + lane] = __shfl_up_sync(0xffffffffu, lane, 3);
  out[96 + lane] = static_cast<int>(__ballot_sync(0xffffffffu, lane % 3 == 0));
  if (lane < 16) out[128 + lane] = __shfl_sync(0x0000ffffu, lane, 7);
  out[160 + lane] = __shfl_sync(0xffffffffu, lane, 1, 8);
}

TEST(Emulator, WarpsExchangeWords) {
  const Tensor out = Tensor::zeros({192}, DType::i32, kDevice);
  for (const auto order : {emulation::Order::ascending, emulation::Order::shuffled}) {
    emulation::set_order(order);
    launch(warp_functions, 1, 32, 0, nullptr, out.data<int32_t>());
    const auto got = out.to_vector<int32_t>();
    for (int lane = 0; lane < 32; ++lane) {
      const auto at = [&](int row) { return got[static_cast<size_t>(32 * row + lane)]; };
      EXPECT_EQ(at(0), lane ^ 5);
      EXPECT_EQ(at(1), lane + 3 < 32 ? lane + 3 : lane);
      EXPECT_EQ(at(2), lane >= 3 ? lane - 3 : lane);
      EXPECT_EQ(static_cast<unsigned>(at(3)), 0x49249249u);
      EXPECT_EQ(at(4), lane < 16 ? 7 : 0);
      EXPECT_EQ(at(5), lane / 8 * 8 + 1);
    }
  }
}

__global__ void sums(const float* x, float* out) {
  struct Scratch {
    float warp[32];
  };
  const float total = block_all(x[threadIdx.x], shared<Scratch>().warp, Plus());
  const float most = block_all(x[threadIdx.x], shared<Scratch>().warp, Larger());
  if (threadIdx.x == 5) {
    out[0] = total;
    out[1] = most;
  }
}

TEST(Emulator, BlocksReduce) {
  std::vector<float> values(96);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 7);
  const Tensor x = Tensor::from(values, {96}).to(kDevice);
  const Tensor out = Tensor::empty({2}, DType::f32, kDevice);
  launch(sums, 1, 96, 0, nullptr, x.data<float>(), out.data<float>());
  EXPECT_EQ(out.to_vector<float>(), (std::vector<float>{283.0f, 6.0f}));
}

__global__ void write_at(float* to, int64_t at) { to[at] = 1.0f; }

TEST(EmulatorDeathTest, MemoryBeyondABlockIsClosed) {
  const Tensor x = Tensor::empty({33}, DType::f32, kDevice);
  launch(write_at, 1, 1, 0, nullptr, x.data<float>(), int64_t{32});
  // a block ends at a multiple of 16 bytes
  EXPECT_DEATH(launch(write_at, 1, 1, 0, nullptr, x.data<float>(), int64_t{36}),
               "touched outside any block");
  float* freed = Tensor::empty({8}, DType::f32, kDevice).data<float>();
  EXPECT_DEATH(launch(write_at, 1, 1, 0, nullptr, freed, int64_t{0}), "touched outside any block");
}

TEST(EmulatorDeathTest, TheHostMayNotTouchDeviceMemory) {
  const Tensor x = Tensor::zeros({4}, DType::f32, kDevice);
  if (!emulation::host_is_locked_out()) GTEST_SKIP() << "this processor has no protection keys";
  EXPECT_DEATH(x.data<float>()[0] = 1.0f, "the host touched device memory");
}

TEST(Emulator, LaunchesThatNoDeviceTakesAreErrors) {
  EXPECT_THROW(launch(half_waits, 1, 2048, 0, nullptr), Error);
  EXPECT_THROW(launch(half_waits, dim3(1, 70000), 32, 0, nullptr), Error);
  EXPECT_THROW(launch(half_waits, 1, 32, 300 << 10, nullptr), Error);
}

}  // namespace
}  // namespace heed::kernels::cuda
