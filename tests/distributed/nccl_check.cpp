// NCCL: what can be seen without a device, and on one rank with one.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <numeric>

#include "distributed/nccl_communicator.h"
#include "distributed/world.h"
#include "kernels/copy/copy.h"

namespace heed {
namespace {

int devices() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

/// A tensor in the memory of the first device, with the values of one on the host.
Tensor on_device(const Tensor& host) {
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, static_cast<size_t>(host.bytes())), cudaSuccess);
  const std::shared_ptr<const void> owner(memory,
                                          [](const void* p) { cudaFree(const_cast<void*>(p)); });
  auto storage = std::make_shared<Storage>(memory, static_cast<size_t>(host.bytes()), owner);
  storage->device = {DeviceType::cuda, 0};
  EXPECT_EQ(
      cudaMemcpy(memory, host.raw(), static_cast<size_t>(host.bytes()), cudaMemcpyHostToDevice),
      cudaSuccess);
  return Tensor::over(storage, 0, host.shape(), contiguous_strides(host.shape()), host.dtype());
}

std::vector<double> values_of(const Tensor& device) {
  const Tensor host = Tensor::empty(device.shape(), device.dtype());
  EXPECT_EQ(cudaMemcpy(host.raw(), device.raw(), static_cast<size_t>(device.bytes()),
                       cudaMemcpyDeviceToHost),
            cudaSuccess);
  return host.to_vector<double>();
}

constexpr DType kAll[] = {DType::f32, DType::f64,  DType::i32, DType::i64,
                          DType::u8,  DType::bf16, DType::f16};

Tensor counted(DType dtype) {
  std::vector<float> numbers(24);
  std::iota(numbers.begin(), numbers.end(), 1.0f);
  return kernels::contiguous_as(Tensor::from(numbers, {24}), dtype);
}

TEST(NcclCommunicator, SaysThatThereIsNoDevice) {
  if (devices() > 0) GTEST_SKIP() << "there is a device here";
  try {
    nccl_communicator(world());
    FAIL() << "made without a device";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("there is no CUDA device"), std::string::npos)
        << error.what();
  }
}

TEST(NcclCommunicator, OfOneRankIsTheIdentityInEveryDtype) {
  if (devices() == 0) GTEST_SKIP() << "needs a CUDA device";
  const auto ranks = nccl_communicator(world());
  EXPECT_EQ(ranks->name(), "nccl");
  for (const DType dtype : kAll) {
    const Tensor host = counted(dtype);
    const Tensor x = on_device(host), out = on_device(Tensor::zeros(host.shape(), dtype));
    const std::vector<double> want = host.to_vector<double>();
    ranks->all_reduce(x);
    EXPECT_EQ(values_of(x), want) << name_of(dtype);
    ranks->broadcast(x);
    EXPECT_EQ(values_of(x), want) << name_of(dtype);
    const std::function<void(const Tensor&)> into[] = {
        [&](const Tensor& y) { ranks->all_gather(x, y); },
        [&](const Tensor& y) { ranks->reduce_scatter(x, y); },
        [&](const Tensor& y) { ranks->all_to_all(x, y); },
        [&](const Tensor& y) { ranks->start_ring_shift(x, y).wait(); }};
    for (const auto& operation : into) {
      const Tensor y = on_device(Tensor::zeros(host.shape(), dtype));
      const uint64_t version = y.version();
      operation(y);
      EXPECT_EQ(values_of(y), want) << name_of(dtype);
      EXPECT_GT(y.version(), version);
    }
  }
}

TEST(NcclCommunicator, SplitsAndTakesHostTensorsAnotherWay) {
  if (devices() == 0) GTEST_SKIP() << "needs a CUDA device";
  const auto ranks = nccl_communicator(world());
  const auto part = ranks->split(3, 0);
  EXPECT_EQ(part->size(), 1);
  EXPECT_EQ(part->name(), "nccl");
  EXPECT_EQ(part->all_reduce_number(2.5), 2.5);
  part->barrier();
  EXPECT_THROW(ranks->all_gather(on_device(counted(DType::f32)), Tensor::zeros({24})), Error);
}

}  // namespace
}  // namespace heed
