// Several ranks that share a device, by way of the staged communicator; started by mpirun. The
// device is the emulated one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/device_runtime.h"
#include "distributed/batch_statistics.h"
#include "distributed/world.h"
#include "tests/cuda/device_under_test.h"
#include "tests/recipes/rank_runs.h"
#include "tests/recipes/runs.h"

namespace heed {
namespace {

using testing::kDevice;

/// Numbers that tell ranks and places apart.
Tensor numbers(int64_t count, int rank) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(100 * (rank + 1) + i));
  return Tensor::from(values, {count});
}

TEST(StagedRanks, CollectivesAreThoseOfTheHost) {
  Communicator& ranks = world();
  const int size = ranks.size(), rank = ranks.rank();
  constexpr int64_t kCount = 7;
  const auto both = [&](int64_t in, int64_t out, const auto& collective) {
    const Tensor host_in = numbers(in, rank), host_out = Tensor::zeros({out});
    const Tensor device_in = host_in.to(kDevice), device_out = host_out.to(kDevice);
    const int64_t before = ranks.bytes_sent();
    collective(host_in, host_out);
    const int64_t bytes = ranks.bytes_sent() - before;
    collective(device_in, device_out);
    EXPECT_EQ(ranks.bytes_sent() - before, 2 * bytes);
    EXPECT_EQ(device_in.to(kCpu).to_vector<float>(), host_in.to_vector<float>());
    EXPECT_EQ(device_out.to(kCpu).to_vector<float>(), host_out.to_vector<float>());
  };
  for (const ReduceOp op : {ReduceOp::sum, ReduceOp::mean, ReduceOp::max, ReduceOp::min})
    both(kCount, 0, [&](const Tensor& t, const Tensor&) { ranks.all_reduce(t, op); });
  both(kCount, 0, [&](const Tensor& t, const Tensor&) { ranks.broadcast(t, size - 1); });
  both(kCount, kCount * size,
       [&](const Tensor& t, const Tensor& out) { ranks.all_gather(t, out); });
  both(kCount * size, kCount,
       [&](const Tensor& t, const Tensor& out) { ranks.reduce_scatter(t, out); });
  both(kCount * size, kCount * size,
       [&](const Tensor& t, const Tensor& out) { ranks.all_to_all(t, out); });
  both(kCount, kCount,
       [&](const Tensor& t, const Tensor& out) { ranks.start_ring_shift(t, out, 1).wait(); });
  both(kCount, kCount, [&](const Tensor& t, const Tensor& out) {
    Work sent = ranks.start_send(t, (rank + 1) % size, 3);
    ranks.receive(out, (rank + size - 1) % size, 3);
    sent.wait();
  });
}

TEST(StagedRanks, WhatIsBegunGoesOnWhileOthersAre) {
  Communicator& ranks = world();
  std::vector<Tensor> tensors;
  std::vector<Work> works;
  for (int64_t i = 0; i < 5; ++i) {
    tensors.push_back(numbers(1000 + i, ranks.rank()).to(kDevice));
    works.push_back(ranks.start_all_reduce(tensors.back()));
  }
  for (Work& work : works) work.wait();
  double first = 0.0;
  for (int r = 0; r < ranks.size(); ++r) first += 100.0 * (r + 1);
  for (const Tensor& tensor : tensors) EXPECT_EQ(tensor.to(kCpu).to_vector<double>()[0], first);
}

TEST(StagedRanks, BuffersOnDevicesBecomeTheirMean) {
  struct Buffered : nn::Module {
    Buffered() { buffers({{"statistic", statistic}}); }
    Tensor statistic = Tensor::full({3}, 1.0 + world().rank());
  } module;
  module.to(kDevice);
  average_buffers(module, world());
  EXPECT_EQ(module.statistic.device(), kDevice);
  const float mean = 0.5f * static_cast<float>(world().size() + 1);
  EXPECT_EQ(module.statistic.to(kCpu).to_vector<float>(), std::vector<float>(3, mean));
}

TEST(StagedRanks, DevicesAreGivenInTurn) {
  const int count = device_runtime(kDevice, "test").device_count();
  EXPECT_EQ(device_of_rank("cuda"), (Device{DeviceType::cuda, launch().local_rank % count}));
  EXPECT_EQ(device_of_rank("cuda:0"), (Device{DeviceType::cuda, 0}));
  EXPECT_EQ(device_of_rank("cpu"), kCpu);
}

}  // namespace
}  // namespace heed

namespace heed::recipes {
namespace {

const std::string kSmoke = std::string(HEED_SOURCE_DIR) + "/recipes/base/smoke.yaml";
const std::vector<std::string> kShort = {
    "train.steps=6",      "train.eval_every=6",      "train.checkpoint_every=6", "samples.every=0",
    "train.batch_size=6", "evaluation.batch_size=6", "evaluation.max_batches=1"};

TEST(StagedTraining, RanksOnDevicesTrainAsOneOnTheCpu) {
  const std::string all = fmt::format("data: {}", world().size());
  for (const char* device : {"cuda", "cuda:0"}) {  // in turn, one for all
    for (const std::string shard : {"none", "optimizer", "gradients"}) {
      SCOPED_TRACE(device + (", shard: " + shard));
      const SharedScratch folder;
      expect_like_one_rank(
          folder, kSmoke, kShort,
          {fmt::format("device={}", device), fmt::format("parallel={{{}, shard: {}}}", all, shard)},
          "f32");
    }
  }
}

// A block, a head, and as many tokens for each rank.
TEST(StagedTraining, RanksOnDevicesShareAModel) {
  const int ranks = world().size();
  std::vector<std::string> model = kShort;
  for (const char* field : {"layers", "heads", "kv_heads"}) {
    model.push_back(fmt::format("model.{}={}", field, ranks));
  }
  model.push_back(fmt::format("model.dim={}", 16 * ranks));
  model.push_back(fmt::format("model.context={}", 12 * ranks));  // norms are shared by token
  for (const std::string mesh : {"tensor: {}", "tensor: {}, share_norms: true", "pipeline: {}"}) {
    SCOPED_TRACE(mesh);
    const SharedScratch folder;
    const std::string axes = fmt::format(fmt::runtime(mesh), ranks);
    expect_like_one_rank(folder, kSmoke, model,
                         {"device=cuda", fmt::format("parallel={{{}}}", axes)}, "f32");
  }
}

TEST(StagedTraining, WhatDevicesDoNotShareIsRefused) {
  const SharedScratch folder;
  const auto error = [&](const std::string& parallel) {
    std::vector<std::string> overrides = kShort;
    overrides.insert(overrides.end(), {"device=cuda", "parallel=" + parallel});
    return request_error([&] { train_file(kSmoke, folder.path("refused"), overrides); });
  };
  EXPECT_THAT(error(fmt::format("{{sequence: {}}}", world().size())),
              ::testing::HasSubstr("axis sequence"));
  EXPECT_THAT(error("{shard: parameters}"), ::testing::HasSubstr("shard: parameters"));
  EXPECT_FALSE(std::filesystem::exists(folder.path("refused")));
}

}  // namespace
}  // namespace heed::recipes
