// Routing attention on the device: clusters, lists, centroids and gradients as on the CPU.
#include <gtest/gtest.h>

#include <map>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "core/views.h"
#include "nn/attention/routing_attention.h"
#include "tests/cuda/device_under_test.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using heed::testing::kDevice;
using testing::random_tensor;
using testing::relative_distance;

// f32 sums of 16 to 24 terms in another order, through two normalisations and a softmax.
constexpr double kTolerance = 1e-4;

std::unique_ptr<Module> made(const std::string& select, bool causal) {
  const Config config = parse_yaml(
      fmt::format("{{dim: 16, heads: 2, clusters: 3, window: 7, decay: 0.5, commitment: 0.1, "
                  "select: {}, causal: {}}}",
                  select, causal),
      "test");
  auto module = find_module("routing", "attention").make(config);
  module->initialise(3);
  return module;
}

RoutingAttention& routing(Module& module) { return dynamic_cast<RoutingAttention&>(module); }

// A step of training: the output, its gradients, and what the centroids learned.
std::map<std::string, Tensor> trained(Module& module, Device device) {
  module.to(device);
  module.train();
  Tensor x = random_tensor({2, 19, 16}, "x").to(device);
  require_grad(x);
  const ExtraLosses extra;
  const Tensor y = routing(module).forward(x, {});
  const Tensor weights = random_tensor({2, 19, 16}, "weights").to(device);
  backward(extra.added_to(sum(mul(y, weights))));
  std::map<std::string, Tensor> found = {{"y", y}, {"grad.x", grad(x)}};
  for (const auto& p : module.named_parameters()) {
    if (grad(*p.tensor).defined()) found["grad." + p.name] = grad(*p.tensor);
  }
  for (const auto& named : module.named_tensors()) {
    if (!named.trained) found[named.name] = *named.tensor;
  }
  return found;
}

TEST(DeviceRouting, AStepIsThatOfTheCpu) {
  heed::testing::run_in_way(0);
  for (const char* select : {"top", "own"}) {
    for (const bool causal : {true, false}) {
      const auto here = made(select, causal), there = made(select, causal);
      const auto cpu = trained(*here, kCpu), cuda = trained(*there, kDevice);
      ASSERT_EQ(cpu.size(), cuda.size());
      EXPECT_GE(cpu.size(), 7u);  // y, x's, two weights', three buffers
      for (const auto& [name, tensor] : cpu) {
        EXPECT_TRUE(cuda.at(name).device().is_cuda()) << name;
        EXPECT_LT(relative_distance(cuda.at(name), tensor), kTolerance)
            << name << " by " << select << (causal ? ", causal" : "");
      }
    }
  }
}

TEST(DeviceRouting, DecodesAsOnTheCpu) {
  heed::testing::run_in_way(0);
  const NoGrad none;
  for (const char* select : {"top", "own"}) {
    std::vector<std::vector<Tensor>> outputs;
    for (const Device device : {kCpu, kDevice}) {
      const auto module = made(select, true);
      module->to(device);
      module->eval();
      const Tensor x = random_tensor({2, 11, 16}, "x").to(device);
      KvCache cache(1, 4);
      outputs.emplace_back();
      int64_t done = 0;
      for (const int64_t tokens : {5, 1, 3, 2}) {
        outputs.back().push_back(
            routing(*module).forward(views::slice(x, 1, done, done + tokens), {.cache = &cache}));
        cache.advance(tokens);
        done += tokens;
      }
    }
    for (size_t i = 0; i < outputs[0].size(); ++i) {
      EXPECT_LT(relative_distance(outputs[1][i], outputs[0][i]), kTolerance) << select << " " << i;
    }
  }
}

}  // namespace
}  // namespace heed::nn
